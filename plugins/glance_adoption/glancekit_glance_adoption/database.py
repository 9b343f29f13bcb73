# SPDX-License-Identifier: Apache-2.0
"""A Glance database: opened by its URL, told from others, read as of one moment, written at once.

What is in its rows is the business of reading.py and returning.py.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from glancekit.plugin import GlancekitError
from glancekit_glance_adoption import schema

_DRIVERS = {
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "postgresql": "postgresql+psycopg",
}
"""The Python driver that is used here, whichever the other service's URL names."""

_EXTRAS = {"mysql+pymysql": "mysql", "postgresql+psycopg": "postgresql"}


_BEGIN = {
    ("sqlite", False): "BEGIN",
    ("sqlite", True): "BEGIN IMMEDIATE",
    ("mysql", False): "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
}
"""How a transaction begins where the driver has no word for it."""

_ENGINE: Mapping[str, Any] = {
    "poolclass": NullPool,
    "hide_parameters": True,  # locations may have passwords in them, which no log shall have
}


class GlanceDatabase:
    """One database of a Glance, by the URL of its ``[database] connection``."""

    def __init__(self, connection: str) -> None:
        """Look at the URL; nothing is opened yet.

        :raises GlancekitError: when it names no kind of database that can be read.
        """
        self._url = _our_url(connection)
        self.name = self._url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Lend a connection that sees the database as it is now, and cannot change it.

        :raises GlancekitError: when it cannot be opened, or is no Glance's.
        """
        with self._connection(writing=False) as connection:
            self._require_glance(connection)
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Lend a connection in a transaction, which is kept as a whole when the block ends well.

        :raises GlancekitError: when it cannot be opened, or is no Glance's.
        """
        with self._connection(writing=True) as connection:
            self._require_glance(connection)
            yield connection
            connection.commit()

    @contextmanager
    def _connection(self, *, writing: bool) -> Iterator[Connection]:
        engine = self._engine(writing=writing)
        try:
            with engine.connect() as connection:
                if begin := _BEGIN.get((engine.dialect.name, writing)):
                    connection.execute(text(begin))
                yield connection
        except DBAPIError as error:
            raise GlancekitError(
                f"The database {self.name} cannot be used: {error.orig or error}"
            ) from error
        finally:
            engine.dispose()

    def _engine(self, *, writing: bool) -> Engine:
        if self._url.drivername == "sqlite":
            return self._sqlite_engine(writing=writing)
        try:
            engine = create_engine(self._url, **_ENGINE)
        except (ImportError, SQLAlchemyError) as error:
            extra = _EXTRAS[self._url.drivername]
            raise GlancekitError(
                f"There is no driver for {self.name}: pip install "
                f"'glancekit-glance-adoption[{extra}]'"
            ) from error
        options = {"isolation_level": "REPEATABLE READ"}
        if engine.dialect.name == "postgresql" and not writing:
            return engine.execution_options(**options, postgresql_readonly=True)
        return engine.execution_options(**options)

    def _sqlite_engine(self, *, writing: bool) -> Engine:
        path = Path(self._url.database or "").expanduser()
        if not path.is_file():
            raise GlancekitError(f"There is no database file {path}")
        mode = "rw" if writing else "ro"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, isolation_level=None
            )

        return create_engine("sqlite://", creator=connect, **_ENGINE)

    def _require_glance(self, connection: Connection) -> None:
        tables = set(inspect(connection).get_table_names())
        wanted = set(schema.metadata.tables)
        if not {"alembic_version", "images", "image_members"} <= tables:
            raise GlancekitError(f"The database {self.name} is no Glance's: it lacks its tables")
        found = set(connection.execute(select(schema.alembic_version.c.version_num)).scalars())
        if not found or not found <= schema.REVISIONS or not wanted <= tables:
            revision = ", ".join(sorted(map(str, found))) or "unknown"
            raise GlancekitError(
                f"The database {self.name} is of revision {revision}, not of Glance 2024.1 or "
                "later; bring it up to date with 'glance-manage db sync' of such a release"
            )


def _our_url(connection: str) -> URL:
    try:
        url = make_url(connection.strip())
    except ArgumentError:
        # The message would show the URL, in which there may be a password.
        raise GlancekitError(
            "The database's URL cannot be read; see [database] connection"
        ) from None
    kind = {"postgres": "postgresql"}.get(name := url.get_backend_name(), name)
    if kind == "sqlite":
        return url.set(drivername="sqlite")
    if kind not in _DRIVERS:
        raise GlancekitError(
            f"A database of the kind '{kind}' cannot be read; SQLite, MySQL, MariaDB and "
            "PostgreSQL can"
        )
    return url.set(drivername=_DRIVERS[kind])
