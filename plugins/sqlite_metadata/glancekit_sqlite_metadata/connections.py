# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to one SQLite file, and the transactions in them.

Reading never waits for writing (WAL). One connection of a process writes at a time: its threads
queue up for a lock, which is fair and wakes at once, before they meet other processes at SQLite's,
which polls.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from glancekit.plugin import MetadataUnavailable
from glancekit_sqlite_metadata.dialect import translate

_KEPT = 16
"""How many connections of a kind are kept open when nobody uses them."""

_PRAGMAS = (
    # A commit is on the disk when commit() returns: a record may not be lost after bytes were
    # acknowledged because of it. In WAL mode this is one fsync for each commit.
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)


class Connections:
    """Gives out connections in a transaction; kept ones are used again by whoever comes next.

    It belongs to the process that made it: SQLite's connections must not cross a fork.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self.pid = os.getpid()
        self._path = path
        self._busy_timeout = busy_timeout
        self._engine = self._make_engine()
        self._readers: deque[Connection] = deque()
        self._writers: deque[Connection] = deque()
        self._writing = threading.Lock()

    def begin(self, *, read_only: bool) -> Connection:
        """Return a connection in which a transaction has begun.

        :raises MetadataUnavailable: when it is not one's turn to write within the timeout.
        """
        if not read_only and not self._writing.acquire(timeout=self._busy_timeout):
            raise MetadataUnavailable(
                f"the database {self._path} is busy: other threads of this process have been "
                "writing to it for longer than busy_timeout; try again"
            )
        try:
            return self._begin(read_only)
        except BaseException:
            if not read_only:
                self._writing.release()
            raise

    def commit(self, connection: Connection, *, read_only: bool) -> None:
        """Make the transaction true, durably when it wrote."""
        self._execute(connection, "COMMIT")

    def end(self, connection: Connection, *, read_only: bool, committed: bool) -> None:
        """Take the connection back."""
        usable = committed
        try:
            if not committed:
                usable = self._roll_back(connection)
        finally:
            kept = self._readers if read_only else self._writers
            if usable and len(kept) < _KEPT:
                kept.append(connection)
            else:
                connection.close()
            if not read_only:
                self._writing.release()

    @contextmanager
    def outside_transaction(self) -> Iterator[Connection]:
        """Lend a connection of its own, for what cannot be done in a transaction."""
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise translate(str(self._path), error.orig or error) from error
        with connection:
            yield connection

    def close(self) -> None:
        """Close what is kept."""
        for kept in (self._readers, self._writers):
            while kept:
                kept.pop().close()

    def _begin(self, read_only: bool) -> Connection:
        kept = self._readers if read_only else self._writers
        try:
            connection = kept.pop()
        except IndexError:
            connection = self._connect(read_only)
        try:
            self._execute(connection, "BEGIN" if read_only else "BEGIN IMMEDIATE")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, read_only: bool) -> Connection:
        try:
            connection = self._engine.connect()
        except DBAPIError as error:
            raise translate(str(self._path), error.orig or error) from error
        if read_only:
            self._execute(connection, "PRAGMA query_only=ON")
        return connection

    def _roll_back(self, connection: Connection) -> bool:
        """Undo what SQLite has not undone itself; say whether the connection can be used again."""
        driver = _driver(connection)
        if driver.in_transaction:
            try:
                driver.execute("ROLLBACK")
            except sqlite3.Error:
                return False
        return True

    def _execute(self, connection: Connection, statement: str) -> None:
        # Straight to the driver: SQLAlchemy's way of beginning and ending costs thirty times as
        # much as SQLite's, as much as reading an image.
        try:
            _driver(connection).execute(statement)
        except sqlite3.Error as error:
            raise translate(str(self._path), error) from error

    def _make_engine(self) -> Engine:
        def connect() -> sqlite3.Connection:
            driver = sqlite3.connect(
                self._path,
                timeout=self._busy_timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
            for pragma in _PRAGMAS:
                driver.execute(pragma)
            return driver

        return create_engine(
            "sqlite://",
            creator=connect,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,  # locations may have passwords in them, which no log shall have
        )


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
