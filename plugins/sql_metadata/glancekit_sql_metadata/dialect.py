# SPDX-License-Identifier: Apache-2.0
"""What differs between SQL databases, as one small object that a dialect plugin provides."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol

from sqlalchemy import Insert, Select, Table
from sqlalchemy.exc import SQLAlchemyError

from glancekit.plugin import MetadataError


class Dialect(Protocol):
    """How one kind of database does what SQL does not say."""

    compares_rows: bool = True
    """``(a, b) < (x, y)`` is a range of an index on a and b. Where not, it is spelled out."""

    skips_nulls: bool = True
    """``a IS NULL ORDER BY b`` is in the order of an index on a and b. Where not, ``a, b`` is."""

    aborts_on_error: bool = False
    """A statement that fails takes the transaction with it, unless there is a savepoint."""

    @abstractmethod
    def locking(self, statement: Select[Any]) -> Select[Any]:
        """Return the select so that what it finds is held until the end of the transaction.

        The statement itself where a writing transaction keeps all others out anyway. The answer
        is kept by identity, so it is the same object for the same statement.
        """
        ...

    @abstractmethod
    def insert_new(self, table: Table) -> Insert:
        """Return the insert of a row whose key may be taken.

        If it is, either the statement alone fails, or nothing is inserted and no row counted.
        """
        ...

    @abstractmethod
    def upsert(self, table: Table, key: str, value: str) -> Insert:
        """Return the insert of a two-column row that replaces ``value`` where ``key`` is there."""
        ...

    @abstractmethod
    def insert_missing(self, table: Table) -> Insert:
        """Return the insert of a row that does nothing where its primary key is there."""
        ...

    @abstractmethod
    def translate(self, error: SQLAlchemyError) -> MetadataError:
        """Return what an error of the database is in our words."""
        ...
