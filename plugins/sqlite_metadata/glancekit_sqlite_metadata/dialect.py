# SPDX-License-Identifier: Apache-2.0
"""What SQLite does in its own way. Connections are not its business (connections.py)."""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import Any

from glancekit_sql_metadata.dialect import Dialect
from sqlalchemy import Insert, Select, Table
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from glancekit.plugin import MetadataError, MetadataUnavailable

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN_FILE = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class SqliteDialect(Dialect):
    """SQLite, told which file errors are about."""

    def __init__(self, path: str) -> None:
        self._path = path

    def locking(self, statement: Select[Any]) -> Select[Any]:
        """See the contract. A transaction begun with BEGIN IMMEDIATE is the only writer."""
        return statement

    def insert_new(self, table: Table) -> Insert:
        """See the contract."""
        return _insert(table)

    def upsert(self, table: Table, key: str, value: str) -> Insert:
        """See the contract."""
        return _upsert(table, key, value)

    def insert_missing(self, table: Table) -> Insert:
        """See the contract."""
        return insert(table).on_conflict_do_nothing()

    def translate(self, error: SQLAlchemyError) -> MetadataError:
        """See the contract."""
        cause = error.orig if isinstance(error, DBAPIError) else None
        return translate(self._path, cause or error)


@lru_cache
def _insert(table: Table) -> Insert:
    return insert(table).execution_options(preserve_rowcount=True)


@lru_cache
def _upsert(table: Table, key: str, value: str) -> Insert:
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=[table.c[key]], set_={value: statement.excluded[value]}
    )


def translate(path: str, error: BaseException) -> MetadataError:
    """Return what an error about a database file is in our words."""
    # The lower byte is the error, the others say more about it.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return MetadataUnavailable(
            f"the database {path} is busy: somebody else has been writing to it for longer than "
            "busy_timeout; try again"
        )
    if code == sqlite3.SQLITE_FULL:
        return MetadataUnavailable(
            f"there is no room left for the database {path}; free some on its file system"
        )
    if code in _BROKEN_FILE:
        return MetadataError(
            f"{path} is not an SQLite database, or is damaged ({error}); restore it from a "
            "backup, or set the option 'path' to another file"
        )
    return MetadataUnavailable(f"the database {path} cannot be used: {error}")
