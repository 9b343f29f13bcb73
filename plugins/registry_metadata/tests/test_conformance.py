# SPDX-License-Identifier: Apache-2.0
"""The registry keeps the metadata contract, whatever it has its records in."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def over_server(server: Any, kind: type[Any]) -> Iterator[MetadataDriver]:
    """Give a driver over an empty database of a running server."""
    database = f"test_{uuid.uuid4().hex}"
    options = {option.dest: option.default for option in kind.options}
    options["connection"] = server.make_database(database)
    with closing(kind(SimpleNamespace(**options), name="behind")) as driver:
        driver.start()
        yield driver
    server.drop_database(database)


def running(package: str, name: str) -> Iterator[Any]:
    """Run a database server of one's own, in a folder that its user may enter."""
    testing = pytest.importorskip(f"{package}.testing", reason=f"pip install {package}")
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="glancekit-registry-"))
    folder.chmod(0o755)
    try:
        with getattr(testing, name)(folder / "server") as started:
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Any]:
    yield from running("glancekit_postgresql_metadata", "RealPostgres")


class TestOverPostgresql(OverRealBackends):
    """Over a real PostgreSQL."""

    @pytest.fixture
    def behind(self, postgres: Any) -> Iterator[MetadataDriver]:
        from glancekit_postgresql_metadata.driver import PostgresqlMetadata

        yield from over_server(postgres, PostgresqlMetadata)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[Any]:
    yield from running("glancekit_mysql_metadata", "RealMariadb")


class TestOverMariadb(OverRealBackends):
    """Over a real MariaDB."""

    @pytest.fixture
    def behind(self, mariadb: Any) -> Iterator[MetadataDriver]:
        from glancekit_mysql_metadata.driver import MysqlMetadata

        yield from over_server(mariadb, MysqlMetadata)
