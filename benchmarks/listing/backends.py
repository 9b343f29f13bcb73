# SPDX-License-Identifier: Apache-2.0
"""The databases that are measured, each filled with the same images. Asking is cases.py's.

SQLite is filled first; a server gets a copy of its rows, in the order of the primary keys.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol, Self

import psycopg
import pymysql
from glancekit_mysql_metadata.driver import MysqlMetadata
from glancekit_mysql_metadata.testing import RealMariadb
from glancekit_postgresql_metadata.driver import PostgresqlMetadata
from glancekit_postgresql_metadata.testing import RealPostgres
from glancekit_sql_metadata.tables import (
    image_lists,
    image_locations,
    image_members,
    images,
    project_usage,
    shared_images,
)
from sqlalchemy import Boolean, LargeBinary, Table
from sqlalchemy.engine import make_url

from benchmarks.listing.filling import open_driver
from glancekit.plugin import MetadataDriver

TABLES = (images, image_lists, image_locations, image_members, shared_images, project_usage)

_OPTIONS = {
    "max_pool_size": 70,
    "max_overflow": 10,
    "pool_timeout": 30,
    "connection_recycle_time": 3600,
    "patience": 10,
    "connect_timeout": 5,
    "statement_timeout": 600,
    "lock_timeout": 60,
}


class Backend(AbstractContextManager["Backend"], Protocol):
    """One kind of database."""

    @abstractmethod
    def open(self, path: Path) -> MetadataDriver:
        """Return a started driver over a database with what an SQLite file has in it."""
        ...

    @abstractmethod
    def open_empty(self, folder: Path) -> MetadataDriver:
        """Return a started driver over an empty database."""
        ...


class Sqlite(Backend):
    """The files themselves."""

    def open(self, path: Path) -> MetadataDriver:
        """See there."""
        return open_driver(path)

    def open_empty(self, folder: Path) -> MetadataDriver:
        """See there."""
        return open_driver(folder / "empty.sqlite")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to end."""


class _Servers(Backend):
    """A server of one's own, whose commits are on the disk when they are acknowledged."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._server: Any = None

    def __enter__(self) -> Self:
        folder = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="glancekit-bench-"))
        os.chmod(folder, 0o755)
        self._server = self._opened.enter_context(self._make(Path(folder) / "server"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._opened.close()

    def open(self, path: Path) -> MetadataDriver:
        """See there."""
        url = self._server.make_database(f"images_{path.stem}")
        driver = self._driver(url)
        with closing(sqlite3.connect(path)) as source:
            self._copy(source, url)
        return driver

    def open_empty(self, folder: Path) -> MetadataDriver:
        """See there."""
        return self._driver(self._server.make_database("empty"))

    def _driver(self, url: str) -> MetadataDriver:
        driver = self._build(SimpleNamespace(connection=url, **_OPTIONS))
        driver.start()
        return driver

    @abstractmethod
    def _make(self, folder: Path) -> AbstractContextManager[Any]: ...

    @abstractmethod
    def _build(self, options: Any) -> MetadataDriver: ...

    @abstractmethod
    def _copy(self, source: sqlite3.Connection, url: str) -> None: ...


class Postgresql(_Servers):
    """PostgreSQL as Debian has it, with 1 GiB of buffers."""

    def _make(self, folder: Path) -> AbstractContextManager[Any]:
        settings = ("shared_buffers=1GB", "max_wal_size=4GB", "max_connections=200")
        return RealPostgres(folder, durable=True, settings=settings)

    def _build(self, options: Any) -> MetadataDriver:
        return PostgresqlMetadata(options, name="postgresql")

    def _copy(self, source: sqlite3.Connection, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as target:
            for table in TABLES:
                columns = ", ".join(column.name for column in table.c)
                command = f"COPY {table.name} ({columns}) FROM STDIN"
                with target.cursor().copy(command.encode()) as copy:
                    for row in _rows(source, table):
                        copy.write_row(row)
            target.execute(
                b"SELECT setval('image_locations_id_seq', (SELECT max(id) FROM image_locations))"
            )
            target.execute(b"VACUUM ANALYZE")


class Mariadb(_Servers):
    """MariaDB as Debian has it, with 1 GiB of buffers."""

    def _make(self, folder: Path) -> AbstractContextManager[Any]:
        settings = ("innodb-buffer-pool-size=1G", "innodb-log-file-size=512M", "local-infile=1")
        return RealMariadb(folder, durable=True, settings=(*settings, "max-connections=200"))

    def _build(self, options: Any) -> MetadataDriver:
        return MysqlMetadata(options, name="mysql")

    def _copy(self, source: sqlite3.Connection, url: str) -> None:
        place = make_url(url)
        target = pymysql.connect(
            host=place.host,
            port=place.port or 0,
            user=place.username,
            password=place.password or "",
            database=place.database,
            charset="utf8mb4",
            local_infile=True,
            autocommit=True,
        )
        with closing(target), target.cursor() as cursor:
            cursor.execute("SET SESSION unique_checks = 0, foreign_key_checks = 0")
            for table in TABLES:
                with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
                    file.writelines(_line(row) for row in _rows(source, table))
                    file.flush()
                    cursor.execute(_load(file.name, table))
            cursor.execute(f"ANALYZE TABLE {', '.join(table.name for table in TABLES)}")


BACKENDS: dict[str, type[Backend]] = {
    "sqlite": Sqlite,
    "postgresql": Postgresql,
    "mysql": Mariadb,
}


def _rows(source: sqlite3.Connection, table: Table) -> Iterator[Sequence[Any]]:
    """Yield the rows of a table in the order of its primary key."""
    columns = ", ".join(column.name for column in table.c)
    order = ", ".join(column.name for column in table.primary_key)
    flags = [place for place, column in enumerate(table.c) if isinstance(column.type, Boolean)]
    for row in source.execute(f"SELECT {columns} FROM {table.name} ORDER BY {order}"):
        if not flags:
            yield row
            continue
        values = list(row)
        for place in flags:
            values[place] = bool(values[place])
        yield values


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n"})


def _line(row: Sequence[Any]) -> str:
    return "\t".join(map(_field, row)) + "\n"


def _field(value: Any) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, bytes):
        return value.hex()
    return str(int(value)) if isinstance(value, bool) else str(value).translate(_ESCAPES)


def _load(path: str, table: Table) -> str:
    """Return the statement that loads a file; bytes are in it as hexadecimal digits."""
    names = []
    decoded = []
    for column in table.c:
        name = f"`{column.name}`"
        if isinstance(column.type, LargeBinary):
            names.append(f"@{column.name}")
            decoded.append(f"{name} = UNHEX(@{column.name})")
        else:
            names.append(name)
    setting = f" SET {', '.join(decoded)}" if decoded else ""
    return (
        f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table.name} CHARACTER SET utf8mb4 "
        f"({', '.join(names)}){setting}"
    )
