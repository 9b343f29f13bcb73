# SPDX-License-Identifier: Apache-2.0
"""The registry keeps the metadata contract, whatever it has its records in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_registry_metadata.driver import RegistryMetadata

from glancekit.plugin import MetadataDriver
from glancekit.testing.metadata import MetadataConformance


class TestOverMemory(MetadataConformance):
    """The kit's suite over records in memory."""

    outlives_the_process = False


class OverRealBackends(MetadataConformance):
    """The kit's suite over a backend that the class names."""

    @pytest.fixture
    def reopen(self, connect: Callable[[], RegistryMetadata]) -> Callable[[], MetadataDriver]:
        return connect


class TestOverSqlite(OverRealBackends):
    """Over a real file."""

    @pytest.fixture
    def behind(self, tmp_path: Path) -> Iterator[MetadataDriver]:
        module = pytest.importorskip(
            "glancekit_sqlite_metadata.driver", reason="pip install glancekit-sqlite-metadata"
        )
        options = SimpleNamespace(path=str(tmp_path / "glancekit.sqlite"), busy_timeout=30)
        with closing(module.SqliteMetadata(options, name="sqlite")) as driver:
            driver.start()
            yield driver
