# SPDX-License-Identifier: Apache-2.0
"""What PostgreSQL does in its own way. Connections are not its business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from glancekit_sql_metadata.server_dialect import Limits, ServerDialect, parse_url, place_of
from sqlalchemy import Column, Connection, Engine, Insert, Select, String, Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.base import PGDDLCompiler
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from glancekit.plugin import MetadataError, MetadataUnavailable

_KINDS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}

_SCHEMA_LOCK = 0x676C616E63656B69
"""The advisory lock of whoever changes the schema; it is one database's."""

_KEPT_OPEN = 300
"""Seconds after which the server ends a transaction in which nothing happens: a host that vanished
in the middle of one keeps what it had locked for so long at most."""

# Every statement is written to walk an index for a page. Where the statistics are old or wrong,
# or there are none yet, the planner would rather read and sort all of what it takes for little.
# So values have nothing to say about the plan: it is made once for each statement and connection,
# as making it is dear where tables are large. Its estimates are high without values, but nothing
# that reads a page is worth compiling.
_OFF = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit")
_WALK = "; ".join(
    [*(f"SET {way} = off" for way in _OFF), "SET plan_cache_mode = force_generic_plan"]
)

_AWAY = ("08", "57P", "53300", "53400", "25006")
"""SQLSTATEs of a server that is starting, ending, full or a standby."""

_LASTING = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
    "certificate",
)
"""What libpq says of a connection that will not be made a second later either."""


class PostgresqlDialect(ServerDialect):
    """PostgreSQL, told which database errors are about."""

    skips_nulls = False
    aborts_on_error = True

    def __init__(self, connection: str | None, limits: Limits) -> None:
        self._url = parse_url(connection, kinds=_KINDS)
        self._limits = limits

    @property
    def url(self) -> Any:
        """See the contract."""
        return self._url

    def connect_arguments(self) -> Mapping[str, Any]:
        """See the contract."""
        wanted = {
            "application_name": "glancekit",
            "connect_timeout": self._limits.connect,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            # Milliseconds; without it a server that vanished is waited for for a quarter hour.
            "tcp_user_timeout": self._limits.statement * 1000,
        }
        return {name: value for name, value in wanted.items() if name not in self._url.query}

    def settings(self) -> Sequence[str]:
        """See the contract."""
        return (
            f"SET statement_timeout = '{self._limits.statement}s'; "
            f"SET lock_timeout = '{self._limits.lock}s'; "
            f"SET idle_in_transaction_session_timeout = '{_KEPT_OPEN}s'; {_WALK}",
        )

    def beginning(self, *, read_only: bool) -> Sequence[str]:
        """See the contract."""
        if read_only:
            return ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
        return ("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",)

    def spell(self, engine: Engine) -> None:
        """See the contract."""
        engine.dialect.ddl_compiler = _Ddl

    @contextmanager
    def changing_schema(self, connection: Connection) -> Iterator[None]:
        """See the contract. Schemas change in a transaction like anything else."""
        for statement in (
            *self.beginning(read_only=False),
            "SET LOCAL statement_timeout = 0",
            "SET LOCAL lock_timeout = 0",
            f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})",
        ):
            connection.exec_driver_sql(statement)
        yield
        connection.exec_driver_sql("COMMIT")

    def is_passing(self, error: DBAPIError) -> bool:
        """See the contract."""
        state = getattr(error.orig, "sqlstate", None)
        if state is not None:
            return str(state).startswith(_AWAY)
        text = str(error.orig)
        return not any(words in text for words in _LASTING)

    def locking(self, statement: Select[Any]) -> Select[Any]:
        """See the contract."""
        return _locking(statement)

    def insert_new(self, table: Table) -> Insert:
        """See the contract."""
        return _insert_new(table)

    def upsert(self, table: Table, key: str, value: str) -> Insert:
        """See the contract."""
        return _upsert(table, key, value)

    def insert_missing(self, table: Table) -> Insert:
        """See the contract."""
        return _insert_new(table)

    def translate(self, error: SQLAlchemyError) -> MetadataError:
        """See the contract."""
        cause = error.orig if isinstance(error, DBAPIError) else None
        return self._translated(error, cause or error)

    def _translated(self, error: SQLAlchemyError, cause: BaseException) -> MetadataError:
        state = str(getattr(cause, "sqlstate", None) or "")
        what = f"the database {place_of(self._url)}"
        said = str(cause).strip().partition("\n")[0]
        if state in ("55P03", "40P01", "40001", "57014"):
            return MetadataUnavailable(
                f"{what} is busy: other changes are in the way, or it is slow ({said}); try again"
            )
        if state.startswith("53"):
            return MetadataUnavailable(
                f"{what} has run out of room or connections ({said}); give it more, or lower "
                "max_pool_size and max_overflow"
            )
        passing = isinstance(error, DBAPIError) and (
            error.connection_invalidated or not state or state.startswith((*_AWAY, "28", "3D"))
        )
        if passing:
            return MetadataUnavailable(f"{what} does not answer as it should: {said}")
        return MetadataError(f"{what} refuses a statement ({state}): {said}")


class _Ddl(PGDDLCompiler):
    """Texts compare by their code points, whatever the database's own language is."""

    def get_column_specification(self, column: Column[Any], **kwargs: Any) -> str:
        text: str = super().get_column_specification(column, **kwargs)  # type: ignore[no-untyped-call]
        return f'{text} COLLATE "C"' if isinstance(column.type, String) else text


@lru_cache(maxsize=64)
def _locking(statement: Select[Any]) -> Select[Any]:
    return statement.with_for_update()


@lru_cache
def _insert_new(table: Table) -> Insert:
    statement = insert(table).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)


@lru_cache
def _upsert(table: Table, key: str, value: str) -> Insert:
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=[table.c[key]], set_={value: statement.excluded[value]}
    )
