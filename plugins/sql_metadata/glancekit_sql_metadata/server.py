# SPDX-License-Identifier: Apache-2.0
"""The driver for database servers: the schema, and units of work on it.

Which server, a dialect plugin says; connections are in server_connections.py.
"""

from __future__ import annotations

import os
import threading
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from sqlalchemy import Connection

from glancekit.plugin import (
    FloatOpt,
    IntOpt,
    MetadataDriver,
    SchemaMismatch,
    StrOpt,
    SupportsDowngrade,
    SupportsMigration,
    SupportsStatistics,
    UnitOfWork,
)
from glancekit_sql_metadata import migrate
from glancekit_sql_metadata.server_connections import PoolSize, ServerConnections
from glancekit_sql_metadata.server_dialect import Limits, ServerDialect
from glancekit_sql_metadata.tables import REVISION
from glancekit_sql_metadata.unit_of_work import SqlUnitOfWork

OPTIONS: Sequence[Any] = (
    StrOpt(
        "connection",
        secret=True,
        help="The database as a URL, with user and password; how connections are encrypted is "
        "in its parameters. The plugin's README has examples.",
    ),
    IntOpt(
        "max_pool_size",
        default=10,
        min=1,
        help="How many connections each process keeps open at most while they are not used.",
    ),
    IntOpt(
        "max_overflow",
        default=20,
        min=0,
        help="How many connections a process may open besides when it needs more at once.",
    ),
    FloatOpt(
        "pool_timeout",
        default=30,
        min=0,
        help="Seconds for which a request waits for a connection that others use before it is "
        "answered with 503.",
    ),
    IntOpt(
        "connection_recycle_time",
        default=3600,
        min=1,
        help="Seconds after which a connection is replaced. It should be less than what a "
        "firewall or the server allows idle connections.",
    ),
    FloatOpt(
        "patience",
        default=10,
        min=0,
        help="Seconds for which a request waits while the server restarts, fails over or has no "
        "connection left, before it is answered with 503.",
    ),
    IntOpt(
        "connect_timeout",
        default=5,
        min=2,
        help="Seconds after which opening a connection is given up.",
    ),
    IntOpt(
        "statement_timeout",
        default=60,
        min=1,
        help="Seconds after which a statement is given up. Changes of the schema have no limit.",
    ),
    IntOpt(
        "lock_timeout",
        default=30,
        min=1,
        help="Seconds for which a change waits for another one to end before it is answered with "
        "503.",
    ),
)
"""What every database server can be told."""

_making = threading.Lock()

# Nobody holds it in a forked process, whoever did at that moment.
os.register_at_fork(
    before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release
)


class ServerMetadata(MetadataDriver, SupportsMigration, SupportsDowngrade, SupportsStatistics):
    """Records in a database server, for any number of threads, processes and hosts."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        limits = Limits(
            connect=options.connect_timeout,
            statement=options.statement_timeout,
            lock=options.lock_timeout,
        )
        self._dialect = self.make_dialect(options.connection, limits)
        self._size = PoolSize(
            kept=options.max_pool_size,
            more=options.max_overflow,
            timeout=float(options.pool_timeout),
            recycle=options.connection_recycle_time,
        )
        self._patience = float(options.patience)
        self._connections: ServerConnections | None = None

    @abstractmethod
    def make_dialect(self, connection: str | None, limits: Limits) -> ServerDialect:
        """Return how the server is spoken to."""
        ...

    def start(self) -> None:
        """See the contract."""
        found = self._revision()
        if found is None:
            found = self._make_schema()
        migrate.require_ours(found)
        if found != REVISION:
            raise SchemaMismatch(found=found, wanted=REVISION)
        self._mine().forget_commits()

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
        found = self._revision()
        migrate.require_ours(found)
        return found

    def head(self) -> str:
        """See the contract."""
        return REVISION

    def upgrade(self) -> None:
        """See the contract."""
        with self._changing_schema() as connection:
            found = migrate.revision(connection)
            migrate.require_ours(found)
            if found is None:
                migrate.create(connection)
            elif found != REVISION:
                migrate.upgrade(connection)

    def undone_by_downgrade(self, revision: str) -> Sequence[str]:
        """See the contract."""
        return migrate.undone(self._revision(), revision)

    def downgrade(self, revision: str) -> None:
        """See the contract."""
        with self._changing_schema() as connection:
            migrate.downgrade(connection, revision)

    def statistics(self) -> Mapping[str, int]:
        """See the contract."""
        with self._mine().outside_transaction() as connection:
            return migrate.statistics(connection)

    def _revision(self) -> str | None:
        with self._mine().outside_transaction() as connection:
            return migrate.revision(connection)

    def _make_schema(self) -> str | None:
        """Make the schema unless another process was quicker; return the revision there is."""
        with self._changing_schema() as connection:
            found = migrate.revision(connection)
            if found is None:
                migrate.create(connection)
                return REVISION
            return found

    @contextmanager
    def _changing_schema(self) -> Iterator[Connection]:
        with (
            self._mine().outside_transaction() as connection,
            self._dialect.changing_schema(connection),
        ):
            yield connection
            # What it was told for this long work is not for those that come after.
            connection.detach()

    def _mine(self) -> ServerConnections:
        """Return the connections of this process; a fork opens its own."""
        connections = self._connections
        if connections is None or connections.pid != os.getpid():
            with _making:
                connections = self._connections
                if connections is None or connections.pid != os.getpid():
                    if connections is not None:
                        connections.leave_to_parent()
                    connections = self._connections = ServerConnections(
                        self._dialect, self._size, self._patience
                    )
        return connections
