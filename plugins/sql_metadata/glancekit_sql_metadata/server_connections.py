# SPDX-License-Identifier: Apache-2.0
"""The connections of one process to a database server, and the transactions in them.

Beginning is tried again while the server is away: nothing was asked yet. A commit whose answer got
lost is looked up. Between the two nothing is repeated, as only the caller knows what led to what.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from glancekit.plugin import MetadataError, MetadataUnavailable
from glancekit_sql_metadata.server_dialect import ServerDialect, place_of
from glancekit_sql_metadata.tables import commits

log = logging.getLogger(__name__)

_LONGEST_PAUSE = 1.0
_TOKENS_KEPT = 3600.0
"""Seconds; a commit is looked up within ``patience`` or never."""

_PRUNED_EVERY = 10_000

_REMEMBER = insert(commits)
_FORGET = delete(commits)


@dataclass(frozen=True, slots=True)
class PoolSize:
    """How many connections, and for how many seconds."""

    kept: int
    more: int
    timeout: float
    recycle: int


class ServerConnections:
    """Gives out connections in a transaction, of one pool that belongs to one process."""

    def __init__(self, dialect: ServerDialect, size: PoolSize, patience: float) -> None:
        self.pid = os.getpid()
        self._dialect = dialect
        self._size = size
        self._patience = patience
        self._place = place_of(dialect.url)
        self._engine = self._make_engine()
        self._commits = 0

    def begin(self, *, read_only: bool) -> Connection:
        """Return a connection in which a transaction has begun.

        :raises MetadataUnavailable: when the server stays away for longer than ``patience``.
        """
        deadline = time.monotonic() + self._patience
        pause = 0.0
        while True:
            try:
                return self._begin(read_only)
            except DBAPIError as error:
                if not self._dialect.is_passing(error) or time.monotonic() + pause > deadline:
                    raise self._dialect.translate(error) from error
            # At once the first time: a connection may have been cut off while nobody used it.
            time.sleep(pause)
            pause = min(pause * 2 + 0.05, _LONGEST_PAUSE)

    def commit(self, connection: Connection, *, read_only: bool) -> None:
        """Make the transaction true.

        :raises MetadataUnavailable: when it is not, or when that could not be found out.
        """
        if read_only:
            self._end_reading(connection)
            return
        token = str(uuid.uuid4())
        try:
            connection.execute(_REMEMBER, {"token": token, "at": _now()})
        except SQLAlchemyError as error:
            raise self._dialect.translate(error) from error
        try:
            connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise self._dialect.translate(error) from error
            if not self._was_committed(token):
                raise self._dialect.translate(error) from error
            log.info("the answer to a commit got lost; it had happened")

    def end(self, connection: Connection, *, read_only: bool, committed: bool) -> None:
        """Take the connection back, rolling back what was not committed."""
        try:
            if not committed and not connection.invalidated:
                connection.exec_driver_sql("ROLLBACK")
        except DBAPIError as error:
            log.info("a connection is given up, its server rolls back by itself: %s", error.orig)
            connection.invalidate(error)
        except BaseException as error:
            connection.invalidate(error)
            raise
        finally:
            _let_go(connection)
        if committed and not read_only:
            self._count_commit()

    @contextmanager
    def outside_transaction(self) -> Iterator[Connection]:
        """Lend a connection for what begins and ends its transactions itself."""
        connection = self.begin(read_only=False)
        try:
            connection.exec_driver_sql("ROLLBACK")
            yield connection
        except DBAPIError as error:
            connection.invalidate(error)
            raise self._dialect.translate(error) from error
        except BaseException as error:
            connection.invalidate(error)
            raise
        finally:
            _let_go(connection)

    def close(self) -> None:
        """Close what is kept; what is in use is let go of when it comes back."""
        self._engine.dispose()

    def leave_to_parent(self) -> None:
        """Forget connections that another process opened, without a word to the server."""
        self._engine.dispose(close=False)

    def _begin(self, read_only: bool) -> Connection:
        try:
            connection = self._engine.connect()
        except NoConnectionLeft as error:
            raise MetadataUnavailable(
                f"all {self._size.kept + self._size.more} connections of this process to the "
                f"database {self._place} have been in use for {self._size.timeout:g} s; try "
                "again, or raise max_pool_size or max_overflow"
            ) from error
        try:
            for statement in self._dialect.beginning(read_only=read_only):
                connection.exec_driver_sql(statement)
        except BaseException as error:
            connection.invalidate(error)
            _let_go(connection)
            raise
        return connection

    def _end_reading(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            raise self._dialect.translate(error) from error

    def _was_committed(self, token: str) -> bool:
        """Say whether a transaction happened whose answer got lost.

        Its last deed was to insert the token. Inserting that again waits until the server knows
        what became of the transaction, and fails exactly if it was committed.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection = self.begin(read_only=False)
                try:
                    connection.execute(_REMEMBER, {"token": token, "at": _now()})
                finally:
                    self.end(connection, read_only=False, committed=False)
            except IntegrityError:
                return True
            except (DBAPIError, MetadataUnavailable) as error:
                if time.monotonic() > deadline:
                    raise MetadataUnavailable(
                        f"the connection to the database {self._place} broke during a commit, "
                        "and whether the change was made could not be found out; look before "
                        "you try again"
                    ) from error
                time.sleep(0.1)
            else:
                return False

    def _count_commit(self) -> None:
        self._commits += 1
        if self._commits % _PRUNED_EVERY == 0:
            self.forget_commits()

    def forget_commits(self) -> None:
        """Forget commits so old that nobody will look them up. That it fails harms nobody."""
        try:
            connection = self.begin(read_only=False)
            committed = False
            try:
                before = commits.c.at < _now() - int(_TOKENS_KEPT * 1e6)
                connection.execute(_FORGET.where(before))
                connection.exec_driver_sql("COMMIT")
                committed = True
            finally:
                self.end(connection, read_only=False, committed=committed)
        except (DBAPIError, MetadataError) as error:
            log.warning("old rows of the table commits stay for now: %s", error)

    def _make_engine(self) -> Engine:
        engine = create_engine(
            self._dialect.url,
            connect_args=dict(self._dialect.connect_arguments()),
            isolation_level="AUTOCOMMIT",  # transactions begin and end by our own words
            pool_size=self._size.kept,
            max_overflow=self._size.more,
            pool_timeout=self._size.timeout,
            pool_recycle=self._size.recycle,
            pool_reset_on_return=None,
            pool_use_lifo=True,  # what is not needed grows old and is closed
            hide_parameters=True,
        )
        settings = self._dialect.settings()

        @event.listens_for(engine, "connect")
        def _settle_in(driver: Any, record: object) -> None:
            with driver.cursor() as cursor:
                for statement in settings:
                    cursor.execute(statement)

        self._dialect.spell(engine)
        return engine


def _let_go(connection: Connection) -> None:
    """Give a connection back; that it breaks right then is nobody's concern any more."""
    try:
        connection.close()
    except DBAPIError as error:
        log.info("a connection broke as it was given back: %s", error.orig)


def _now() -> int:
    return time.time_ns() // 1000
