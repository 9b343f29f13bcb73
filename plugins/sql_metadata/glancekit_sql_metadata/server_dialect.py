# SPDX-License-Identifier: Apache-2.0
"""What differs between database servers, beyond what all dialects say (dialect.py)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from glancekit.plugin import ConfigError
from glancekit_sql_metadata.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds after which something is given up."""

    connect: int
    statement: int
    lock: int


class ServerDialect(Dialect, Protocol):
    """How one kind of server is reached and spoken to. Its values are for one database."""

    @property
    @abstractmethod
    def url(self) -> URL:
        """Where the database is, with the Python driver that is used."""
        ...

    @abstractmethod
    def connect_arguments(self) -> Mapping[str, Any]:
        """Return what the Python driver is told besides the URL."""
        ...

    @abstractmethod
    def settings(self) -> Sequence[str]:
        """Return the statements with which each new connection begins."""
        ...

    @abstractmethod
    def beginning(self, *, read_only: bool) -> Sequence[str]:
        """Return the statements that begin a transaction.

        A reading one sees one state; in a writing one each statement sees what is committed, and
        what it locks is held to its end.
        """
        ...

    @abstractmethod
    def spell(self, engine: Engine) -> None:
        """Teach an engine how columns and tables are spelled, so that texts compare exactly."""
        ...

    @abstractmethod
    def changing_schema(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep all others from changing the schema: a transaction that ends well is committed."""
        ...

    @abstractmethod
    def is_passing(self, error: DBAPIError) -> bool:
        """Say whether what kept a transaction from beginning may be over in a moment."""
        ...


def parse_url(connection: str | None, *, kinds: Mapping[str, str]) -> URL:
    """Return the URL of a database with the Python driver that is used for its kind.

    :param kinds: the driver's name for each kind of URL, as ``postgresql``.
    :raises ConfigError: when it cannot be one. What it says is without the URL: that has a
        password in it.
    """
    example = f"{next(iter(kinds))}://USER:PASSWORD@HOST/DATABASE"
    if not connection:
        raise ConfigError(f"[metadata] connection is not set; it has the form {example}")
    try:
        url = make_url(connection.strip())
    except (ArgumentError, ValueError) as error:
        message = f"[metadata] connection is no URL of a database; it has the form {example}"
        raise ConfigError(message) from error
    driver = kinds.get(url.get_backend_name())
    if driver is None:
        raise ConfigError(
            f"[metadata] connection begins with '{url.drivername}', which is another kind of "
            f"database; it has the form {example}"
        )
    if not url.database:
        raise ConfigError(f"[metadata] connection names no database; it has the form {example}")
    return url.set(drivername=driver)


def place_of(url: URL) -> str:
    """Return how messages name a database: without user, password and parameters."""
    host = url.host or ",".join(_all(url.query.get("host"))) or "this host"
    port = f":{url.port}" if url.port else ""
    return f"'{url.database}' at {host}{port}"


def _all(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value
