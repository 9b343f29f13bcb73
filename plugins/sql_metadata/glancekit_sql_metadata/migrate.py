# SPDX-License-Identifier: Apache-2.0
"""Revisions of the schema: which a database has, and the way to the newest, with Alembic.

Alembic takes a quarter of a second to import, so that is done when there is something to do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, inspect, select, text

from glancekit.plugin import SchemaMismatch
from glancekit_sql_metadata.tables import REVISION, metadata

if TYPE_CHECKING:
    from alembic.config import Config

_VERSION_TABLE = "alembic_version"

_OURS = re.compile(r"\d{4}")
"""How revisions of ours are named; others keep theirs in a table of the same name."""

UNKNOWN = "none"
"""What stands for the revision of a database that has tables but was not made by glancekit."""


_BEGUN = "0000"
"""What stands for a revision while ``create`` is at work, where others can see that."""


def revision(connection: Connection) -> str | None:
    """Return a database's revision: None when it is empty, ``UNKNOWN`` when it is not ours.

    One whose making was cut off, where that cannot be rolled back, is as good as empty.
    """
    tables = set(inspect(connection).get_table_names())
    if _VERSION_TABLE in tables:
        found = _stored(connection) or (UNKNOWN if len(tables) > 1 else _BEGUN)
        if found == _BEGUN:
            return None
        return found if _OURS.fullmatch(found) else UNKNOWN
    return UNKNOWN if tables else None


def _stored(connection: Connection) -> str | None:
    found = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()
    return None if found is None else str(found)


def require_ours(found: str | None) -> None:
    """Refuse a revision that no migration of this release leads to.

    :raises SchemaMismatch: when the database is not glancekit's, or a newer release changed it.
    """
    if found in (None, REVISION):
        return
    if found == UNKNOWN:
        message = "The database has tables that are not glancekit's; name an empty one"
        raise SchemaMismatch(message, found=found, wanted=REVISION)
    from alembic.script import ScriptDirectory

    history = ScriptDirectory.from_config(configuration()).walk_revisions()
    if found not in {step.revision for step in history}:
        message = (
            f"The database is at revision {found}, which only a newer release of glancekit knows; "
            "install that release again"
        )
        raise SchemaMismatch(message, found=found, wanted=REVISION)


def create(connection: Connection) -> None:
    """Make the newest schema in an empty database, in the transaction that the caller began.

    It does at once what all migrations do one after the other; a test holds the two together.
    """
    if _VERSION_TABLE not in inspect(connection).get_table_names():
        connection.execute(
            text(
                f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
                f"CONSTRAINT {_VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
            )
        )
    if _stored(connection) is None:
        connection.execute(text(f"INSERT INTO {_VERSION_TABLE} (version_num) VALUES ('{_BEGUN}')"))
    metadata.create_all(connection)
    connection.execute(
        text(f"UPDATE {_VERSION_TABLE} SET version_num = :revision"), {"revision": REVISION}
    )


def upgrade(connection: Connection) -> None:
    """Apply what migrations are missing, in the transaction that the caller began."""
    from alembic import command

    command.upgrade(configuration(connection), "head")


def undone(found: str | None, wanted: str) -> list[str]:
    """Say of each revision above another what it brought, the newest first.

    :raises SchemaMismatch: when the database is not behind the wanted one.
    """
    from alembic.script import ScriptDirectory

    require_ours(found)
    history = ScriptDirectory.from_config(configuration()).walk_revisions()
    steps = [step for step in history if step.revision <= (found or "")]
    above = [f"{step.revision}: {step.doc}" for step in steps if step.revision > wanted]
    if wanted not in {step.revision for step in steps} or not above:
        known = ", ".join(step.revision for step in steps[1:]) or "none"
        message = (
            f"The database is at revision {found or 'none'}, from which it cannot be brought back "
            f"to {wanted}; it can to: {known}"
        )
        raise SchemaMismatch(message, found=found or "none", wanted=wanted)
    return above


def downgrade(connection: Connection, wanted: str) -> None:
    """Undo revisions, in the transaction that the caller began.

    :raises SchemaMismatch: when the database is not behind the wanted one.
    """
    from alembic import command

    undone(revision(connection), wanted)
    command.downgrade(configuration(connection), wanted)


def statistics(connection: Connection) -> dict[str, int]:
    """Return the number of rows of each table that there is."""
    there = set(inspect(connection).get_table_names())
    return {
        table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        for table in metadata.sorted_tables
        if table.name in there
    }


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for the migrations of this package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
