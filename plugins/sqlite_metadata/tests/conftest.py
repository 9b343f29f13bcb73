# SPDX-License-Identifier: Apache-2.0
"""Drivers over real files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_sqlite_metadata.driver import SqliteMetadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "glancekit.sqlite"


@pytest.fixture
def build(path: Path) -> Iterator[Callable[[], SqliteMetadata]]:
    """Build drivers over the same file, which wait for a second at most."""
    with ExitStack() as opened:

        def build() -> SqliteMetadata:
            options = SimpleNamespace(path=str(path), busy_timeout=1)
            return opened.enter_context(closing(SqliteMetadata(options, name="sqlite")))

        yield build


@pytest.fixture
def driver(build: Callable[[], SqliteMetadata]) -> SqliteMetadata:
    driver = build()
    driver.start()
    return driver
