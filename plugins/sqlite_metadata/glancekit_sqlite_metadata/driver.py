# SPDX-License-Identifier: Apache-2.0
"""The driver: a file, its schema, and units of work on it. Connections are in connections.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakSet

from glancekit_sql_metadata import migrate
from glancekit_sql_metadata.tables import REVISION
from glancekit_sql_metadata.unit_of_work import SqlUnitOfWork
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from glancekit.plugin import (
    IntOpt,
    MetadataDriver,
    MetadataUnavailable,
    SchemaMismatch,
    StrOpt,
    SupportsDowngrade,
    SupportsMigration,
    SupportsStatistics,
    UnitOfWork,
)
from glancekit_sqlite_metadata.connections import Connections
from glancekit_sqlite_metadata.dialect import SqliteDialect

_making = threading.Lock()
_drivers: WeakSet[SqliteMetadata] = WeakSet()


def _before_fork() -> None:
    """Close what nobody uses: SQLite believes in a child that it has the locks of open files."""
    _making.acquire()
    for driver in _drivers:
        driver.close()


os.register_at_fork(
    before=_before_fork, after_in_parent=_making.release, after_in_child=_making.release
)


class SqliteMetadata(MetadataDriver, SupportsMigration, SupportsDowngrade, SupportsStatistics):
    """Records in one SQLite file, for any number of threads and processes of one host."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = (
        StrOpt(
            "path",
            default="$data_dir/glancekit.sqlite",
            help="The database file. It must be on a local file system: SQLite's locks do not "
            "work on most network file systems.",
        ),
        IntOpt(
            "busy_timeout",
            default=30,
            min=1,
            help="Seconds for which a change waits for its turn to write before the request is "
            "answered with 503.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._path = Path(options.path)
        self._busy_timeout = float(options.busy_timeout)
        self._dialect = SqliteDialect(options.path)
        self._connections: Connections | None = None
        self._inherited: list[Connections] = []
        with _making:
            _drivers.add(self)

    def start(self) -> None:
        """See the contract."""
        self._make_folder()
        found = self._use_wal()
        if found is None:
            found = self._make_schema()
        migrate.require_ours(found)
        if found != REVISION:
            raise SchemaMismatch(found=found, wanted=REVISION)

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """See the contract."""
        return SqlUnitOfWork(self._mine(), self._dialect, read_only=read_only)

    def check(self) -> None:
        """See the contract."""
        with self.unit_of_work(read_only=True) as work:
            work.events.last_position()

    def close(self) -> None:
        """See the contract."""
        if self._connections is not None and self._connections.pid == os.getpid():
            self._connections.close()

    def version(self) -> str | None:
        """See the contract."""
        if not self._path.exists():
            return None
        with self._mine().outside_transaction() as connection, self._translating():
            found = migrate.revision(connection)
        migrate.require_ours(found)
        return found

    def head(self) -> str:
        """See the contract."""
        return REVISION

    def upgrade(self) -> None:
        """See the contract."""
        self._make_folder()
        if self._use_wal() is None:
            self._make_schema()
            return
        with self._writing_schema() as connection:
            found = migrate.revision(connection)
            migrate.require_ours(found)
            if found != REVISION:
                migrate.upgrade(connection)

    def undone_by_downgrade(self, revision: str) -> Sequence[str]:
        """See the contract."""
        return migrate.undone(self.version(), revision)

    def downgrade(self, revision: str) -> None:
        """See the contract."""
        self.undone_by_downgrade(revision)
        with self._writing_schema() as connection:
            migrate.downgrade(connection, revision)

    def statistics(self) -> Mapping[str, int]:
        """See the contract."""
        if self.version() is None:
            return {}
        with self._mine().outside_transaction() as connection, self._translating():
            return migrate.statistics(connection)

    def _mine(self) -> Connections:
        """Return the connections of this process; those of the process it was forked from rest."""
        connections = self._connections
        if connections is None or connections.pid != os.getpid():
            connections = self._make_connections()
        return connections

    def _make_connections(self) -> Connections:
        with _making:
            mine = self._connections
            if mine is None or mine.pid != os.getpid():
                if mine is not None:
                    # Never closed here: that would drop locks of the process that opened them.
                    self._inherited.append(mine)
                mine = self._connections = Connections(self._path, self._busy_timeout)
            return mine

    def _make_folder(self) -> None:
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MetadataUnavailable(
                f"the folder {folder} of the database cannot be made ({error.strerror}); make it, "
                "or set the option 'path' to a file elsewhere"
            ) from error

    def _use_wal(self) -> str | None:
        """Switch the file to WAL, which it then remembers, and return its revision.

        A restored backup may have come back without it.
        """
        with self._mine().outside_transaction() as connection, self._translating():
            revision = migrate.revision(connection)
            if revision in (None, REVISION):
                _switch_to_wal(connection, self._busy_timeout)
            return revision

    def _make_schema(self) -> str | None:
        """Make the schema unless another process was quicker; return the revision there is."""
        with self._writing_schema() as connection:
            found = migrate.revision(connection)
            if found is None:
                migrate.create(connection)
                return REVISION
            return found

    @contextmanager
    def _writing_schema(self) -> Iterator[Connection]:
        connections = self._mine()
        connection = connections.begin(read_only=False)
        committed = False
        try:
            with self._translating():
                yield connection
            connections.commit(connection, read_only=False)
            committed = True
        finally:
            connections.end(connection, read_only=False, committed=committed)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self._dialect.translate(error) from error


def _switch_to_wal(connection: Connection, timeout: float) -> None:
    """Switch, in several processes at once too: SQLite does not wait for this lock by itself."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
