# SPDX-License-Identifier: Apache-2.0
"""Steps of migrations that do nothing when they are done already. Which ones, a revision says.

MariaDB and MySQL cannot roll back a changed table, so a migration that was cut off half way is run
again from its beginning.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem


def make_table(name: str, *parts: SchemaItem, **options: Any) -> None:
    """Make a table."""
    op.create_table(name, *parts, if_not_exists=True, **options)


def make_index(table: str, *columns: str, name: str | None = None) -> None:
    """Make an index, under its usual name if it is to have no other."""
    name = name or f"ix_{table}_{'_'.join(columns)}"
    if name not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.create_index(name, table, list(columns))


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column to a table."""
    if column.name not in _columns(table):
        op.add_column(table, column)


def drop_column(table: str, name: str) -> None:
    """Drop a column, which no index may have any more."""
    if name in _columns(table):
        op.drop_column(table, name)


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}


def drop_index(table: str, *columns: str) -> None:
    """Drop an index that has its usual name."""
    name = f"ix_{table}_{'_'.join(columns)}"
    if name in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}:
        op.drop_index(name, table)


def drop_table(name: str) -> None:
    """Drop a table with its indexes."""
    op.drop_table(name, if_exists=True)


def table_has_rows(name: str) -> bool:
    """Say whether anything is in a table."""
    return op.get_bind().execute(sa.text(f"SELECT 1 FROM {name} LIMIT 1")).first() is not None
