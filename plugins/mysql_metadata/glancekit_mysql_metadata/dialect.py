# SPDX-License-Identifier: Apache-2.0
"""What MariaDB and MySQL do in their own way. Connections are not its business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from glancekit_sql_metadata.server_dialect import Limits, ServerDialect, parse_url, place_of
from sqlalchemy import URL, Connection, Engine, Insert, Select, Table
from sqlalchemy.dialects.mysql import insert
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from glancekit.plugin import MetadataError, MetadataUnavailable

_KINDS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}

_SLOW_NETWORK = 10
"""Seconds that an answer may take beyond ``statement_timeout`` before its server is given up."""

_SCHEMA_PATIENCE = 600
"""Seconds for which another process may be changing the schema."""

_KEPT_OPEN = 300
"""Seconds after which a server ends a transaction in which nothing happens, and its locks. MySQL
knows such a limit for connections alone; one that it ended while idle is opened anew."""

_NO_CONNECTION_LEFT = (1040, 1203, 1226)
_AWAY = (1053, 1077, 1079, 1290, 1836, 1927, 2002, 2003, 2006, 2013, 2014, 2055, 3169, 4031)
"""Error numbers of a server that is starting, ending, a replica, or has cut the connection."""

_IN_THE_WAY = (1205, 1213, 1317, 1969, 3024, 3572)
"""Lock wait, deadlock, statements that took too long."""

_FULL = (1021, 1041, 1114)


class MysqlDialect(ServerDialect):
    """MariaDB or MySQL, told which database errors are about."""

    compares_rows = False

    def __init__(self, connection: str | None, limits: Limits) -> None:
        self._url = parse_url(connection, kinds=_KINDS)
        self._limits = limits

    @property
    def url(self) -> URL:
        """See the contract. Whatever it says of that, texts are sent whole."""
        return self._url.update_query_dict({"charset": "utf8mb4"})

    def connect_arguments(self) -> Mapping[str, Any]:
        """See the contract."""
        patience = self._limits.statement + _SLOW_NETWORK
        wanted = {
            "connect_timeout": self._limits.connect,
            "read_timeout": patience,
            "write_timeout": patience,
            "program_name": "glancekit",
        }
        return {name: value for name, value in wanted.items() if name not in self._url.query}

    def settings(self) -> Sequence[str]:
        """See the contract."""
        return (
            # Nothing is cut to fit, no zero date or default taken for what is missing.
            "SET SESSION sql_mode = 'TRADITIONAL,NO_ENGINE_SUBSTITUTION'",
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            # Each of the two servers takes for a comment what only the other knows.
            f"SET SESSION innodb_lock_wait_timeout = {self._limits.lock}"
            f" /*M! , SESSION max_statement_time = {self._limits.statement}"
            f" , SESSION idle_transaction_timeout = {_KEPT_OPEN} */"
            f" /*!50708 , SESSION max_execution_time = {self._limits.statement * 1000}"
            f" , SESSION wait_timeout = {_KEPT_OPEN} */",
        )

    def beginning(self, *, read_only: bool) -> Sequence[str]:
        """See the contract."""
        if read_only:
            return (
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            )
        return ("START TRANSACTION READ WRITE",)

    def spell(self, engine: Engine) -> None:
        """See the contract."""
        engine.dialect.ddl_compiler = _Ddl
        engine.dialect.type_compiler_instance = _Types(engine.dialect)

    @contextmanager
    def changing_schema(self, connection: Connection) -> Iterator[None]:
        """See the contract.

        A changed table cannot be rolled back here, so each step says of itself that it is done.
        The lock goes with the connection, too.
        """
        digest = blake2b((self._url.database or "").encode(), digest_size=16).hexdigest()
        name = f"glancekit.schema.{digest}"
        patience = _SCHEMA_PATIENCE
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {self._limits.lock}")
        taken = connection.exec_driver_sql(f"SELECT GET_LOCK('{name}', {patience})").scalar()
        if taken != 1:
            raise MetadataUnavailable(
                f"another process has been changing the schema of the database "
                f"{place_of(self._url)} for longer than {patience} s"
            )
        yield
        connection.exec_driver_sql(f"DO RELEASE_LOCK('{name}')")

    def is_passing(self, error: DBAPIError) -> bool:
        """See the contract."""
        return error.connection_invalidated or _number(error) in (*_AWAY, *_NO_CONNECTION_LEFT)

    def locking(self, statement: Select[Any]) -> Select[Any]:
        """See the contract."""
        return _locking(statement)

    def insert_new(self, table: Table) -> Insert:
        """See the contract."""
        return _insert_new(table)

    def upsert(self, table: Table, key: str, value: str) -> Insert:
        """See the contract."""
        return _upsert(table, value)

    def insert_missing(self, table: Table) -> Insert:
        """See the contract."""
        # Not INSERT IGNORE, which ignores whatever is wrong with the row.
        return _upsert(table, next(iter(table.primary_key)).name)

    def translate(self, error: SQLAlchemyError) -> MetadataError:
        """See the contract."""
        what = f"the database {place_of(self._url)}"
        if not isinstance(error, DBAPIError):
            return MetadataUnavailable(f"{what} does not answer as it should: {error}")
        number, said = _number(error), _words(error)
        if number in _IN_THE_WAY:
            return MetadataUnavailable(
                f"{what} is busy: other changes are in the way, or it is slow ({said}); try again"
            )
        if number in (*_FULL, *_NO_CONNECTION_LEFT):
            return MetadataUnavailable(
                f"{what} has run out of room or connections ({said}); give it more, or lower "
                "max_pool_size and max_overflow"
            )
        if error.connection_invalidated or number in (*_AWAY, 0, 1044, 1045, 1049):
            return MetadataUnavailable(f"{what} does not answer as it should: {said}")
        return MetadataError(f"{what} refuses a statement ({number}): {said}")


class _Types(MySQLTypeCompiler):
    """Texts of any length, and short bytes that can be a key."""

    def visit_TEXT(self, type_: Any, **kwargs: Any) -> str:
        return "LONGTEXT"

    def visit_large_binary(self, type_: Any, **kwargs: Any) -> str:
        return f"VARBINARY({type_.length})" if type_.length else "LONGBLOB"


class _Ddl(MySQLDDLCompiler):
    """Texts compare by their code points, blanks at their end included, and may be any."""

    def post_create_table(self, table: Table) -> str:
        dialect: Any = self.dialect
        collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
        return f" ENGINE=InnoDB ROW_FORMAT=DYNAMIC CHARACTER SET utf8mb4 COLLATE {collation}"


def _number(error: DBAPIError) -> int:
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def _words(error: DBAPIError) -> str:
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    return str(arguments[1] if len(arguments) > 1 else error.orig)


@lru_cache(maxsize=64)
def _locking(statement: Select[Any]) -> Select[Any]:
    return statement.with_for_update()


@lru_cache
def _insert_new(table: Table) -> Insert:
    return insert(table).execution_options(preserve_rowcount=True)


@lru_cache
def _upsert(table: Table, value: str) -> Insert:
    statement = insert(table)
    return statement.on_duplicate_key_update({value: statement.inserted[value]})
