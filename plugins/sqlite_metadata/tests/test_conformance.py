# SPDX-License-Identifier: Apache-2.0
"""SQLite keeps the metadata contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import MetadataDriver
from glancekit.testing.metadata import MetadataConformance


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Callable[[], MetadataDriver]]:
    with ExitStack() as opened:

        def start() -> MetadataDriver:
            options = SimpleNamespace(path=str(tmp_path / "glancekit.sqlite"), busy_timeout=30)
            driver = opened.enter_context(closing(SqliteMetadata(options, name="sqlite")))
            driver.start()
            return driver

        yield start


@pytest.fixture
def driver(reopen: Callable[[], MetadataDriver]) -> MetadataDriver:
    return reopen()


class TestSqliteMetadata(MetadataConformance):
    """The kit's suite on a real file."""
