# SPDX-License-Identifier: Apache-2.0
"""A unit of work over a session. Beginning and ending a transaction is its owner's business."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from sqlalchemy import Connection

from glancekit.plugin import MetadataError, UnitOfWork
from glancekit_sql_metadata.caches import SqlCaches
from glancekit_sql_metadata.dialect import Dialect
from glancekit_sql_metadata.events import SqlEvents
from glancekit_sql_metadata.images import SqlImages
from glancekit_sql_metadata.leases import SqlLeases
from glancekit_sql_metadata.ledger import SqlLedger
from glancekit_sql_metadata.locations import SqlLocations
from glancekit_sql_metadata.marks import SqlMarks
from glancekit_sql_metadata.members import SqlMembers
from glancekit_sql_metadata.metadefs import SqlMetadefs
from glancekit_sql_metadata.periodic import SqlPeriodic
from glancekit_sql_metadata.quotas import SqlQuotas
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tasks import SqlTasks


class Transactions(Protocol):
    """Who gives out connections that are in a transaction, and ends it."""

    def begin(self, *, read_only: bool) -> Connection:
        """Return a connection in which a transaction has begun."""
        ...

    def commit(self, connection: Connection, *, read_only: bool) -> None:
        """Make it true; what it raises means that it is not, unless it says otherwise."""
        ...

    def end(self, connection: Connection, *, read_only: bool, committed: bool) -> None:
        """Take the connection back, rolling back what was not committed."""
        ...


class SqlUnitOfWork(UnitOfWork):
    """One transaction."""

    def __init__(self, transactions: Transactions, dialect: Dialect, *, read_only: bool) -> None:
        self._transactions = transactions
        self._dialect = dialect
        self._read_only = read_only
        self._connection: Connection | None = None
        self._committed = False

    def __enter__(self) -> SqlUnitOfWork:
        self._connection = self._transactions.begin(read_only=self._read_only)
        session = self._session = Session(
            self._connection, self._dialect, read_only=self._read_only
        )
        self.ledger = SqlLedger(session)
        self.marks = SqlMarks(session)
        self.caches = SqlCaches(session)
        self.quotas = SqlQuotas(session, self.ledger)
        self.images = SqlImages(session, self.quotas)
        self.locations = SqlLocations(session, self.quotas)
        self.members = SqlMembers(session)
        self.tasks = SqlTasks(session)
        self.events = SqlEvents(session)
        self.leases = SqlLeases(session)
        self.periodic = SqlPeriodic(session)
        self.metadefs = SqlMetadefs(session)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transactions.end(
                connection, read_only=self._read_only, committed=self._committed
            )

    def commit(self) -> None:
        """See the contract."""
        if self._connection is None or self._committed:
            raise MetadataError("A unit of work was asked to commit when it was over already")
        self.quotas.settle()
        self.events.settle()
        self._session.require_sound()
        self._transactions.commit(self._connection, read_only=self._read_only)
        self._committed = True
        self._session.read_only = True
