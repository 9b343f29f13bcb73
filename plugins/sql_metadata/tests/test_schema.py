# SPDX-License-Identifier: Apache-2.0
"""The tables that are described are those that the migrations make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from glancekit_sql_metadata import migrate
from glancekit_sql_metadata.tables import REVISION, metadata
from sqlalchemy import Connection, create_engine, text


def made_by(make: Callable[[Connection], None]) -> dict[str, Any]:
    """Return what a way of making the schema puts into an empty database: everything, as SQL."""
    with create_engine("sqlite://").connect() as connection:
        make(connection)
        assert migrate.revision(connection) == REVISION
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        found = connection.execute(text("SELECT name, sql FROM sqlite_master")).all()
    return {name: sorted((sql or "").replace("\t", "").split(", ")) for name, sql in found}


def lines(sql: list[str]) -> list[str]:
    """Return the parts of a statement whatever their order and layout."""
    return sorted(part.strip() for part in ",".join(sql).replace("\n", "").split(","))


def test_a_fresh_schema_is_what_the_migrations_make() -> None:
    fresh, migrated = made_by(migrate.create), made_by(migrate.upgrade)
    assert fresh.keys() == migrated.keys()
    for name in fresh:
        assert lines(fresh[name]) == lines(migrated[name]), name


def test_the_revision_is_the_last_migration() -> None:
    script = ScriptDirectory.from_config(migrate.configuration())
    assert script.get_current_head() == REVISION


def test_upgrading_twice_changes_nothing() -> None:
    with create_engine("sqlite://").connect() as connection:
        migrate.upgrade(connection)
        migrate.upgrade(connection)
        assert migrate.revision(connection) == REVISION


def test_a_schema_that_is_not_ours_is_unknown() -> None:
    with create_engine("sqlite://").connect() as connection:
        assert migrate.revision(connection) is None
        connection.execute(text("CREATE TABLE theirs (id INTEGER)"))
        assert migrate.revision(connection) == migrate.UNKNOWN


def test_what_was_there_before_quotas_is_counted() -> None:
    """The migration's sums are those that the repository would keep."""
    with create_engine("sqlite://").connect() as connection:
        command.upgrade(migrate.configuration(connection), "0003")
        for number, (owner, status, size, copies) in enumerate(BEFORE_QUOTAS):
            image = {"id": str(number), "owner": owner, "status": status, "size": size}
            connection.execute(OLD_IMAGE, image)
            for store, state in enumerate(copies):
                place = {"image_id": str(number), "store": str(store), "status": state}
                connection.execute(OLD_LOCATION, place)
        migrate.upgrade(connection)
        found = connection.execute(text("SELECT * FROM project_usage ORDER BY project_id")).all()
    assert [tuple(row) for row in found] == [("p", 12 + 5, 0, 4, 2), ("q", 0, 0, 1, 0)]


def test_copies_from_before_audits_are_due_at_once_and_survive_the_way_back() -> None:
    with create_engine("sqlite://").connect() as connection:
        command.upgrade(migrate.configuration(connection), "0006")
        place = {"image_id": "1", "store": "s", "status": "active"}
        connection.execute(OLD_LOCATION, place)
        for _ in range(2):
            migrate.upgrade(connection)
            query = text("SELECT store, audited_at, verified_at, finding FROM image_locations")
            assert connection.execute(query).all() == [("s", 0, None, None)]
            migrate.downgrade(connection, "0006")
            columns = connection.execute(text("SELECT * FROM image_locations")).keys()
            assert list(columns)[-1] == "holder"


BEFORE_QUOTAS = [
    ("p", "active", 6, ["active", "pending_delete"]),
    ("p", "active", 5, ["active", "writing"]),
    ("p", "saving", None, ["writing"]),
    ("p", "queued", None, []),
    ("q", "queued", None, []),
    (None, "active", 7, ["active"]),
]
OLD_IMAGE = text(
    "INSERT INTO images VALUES (:id, :owner, :status, 'shared', NULL, NULL, NULL, :size, NULL, "
    "NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, '{}', '[]')"
)
OLD_LOCATION = text(
    "INSERT INTO image_locations (image_id, store, url, metadata, status) "
    "VALUES (:image_id, :store, '', '{}', :status)"
)


def test_what_was_shared_before_is_sorted() -> None:
    with create_engine("sqlite://").connect() as connection:
        command.upgrade(migrate.configuration(connection), "0005")
        for number, visibility in enumerate(("shared", "private")):
            image = {"id": str(number), "owner": "p", "status": "active", "size": 1}
            connection.execute(OLD_IMAGE, image)
            connection.execute(
                text("UPDATE images SET visibility = :visibility WHERE id = :id"),
                {"visibility": visibility, "id": str(number)},
            )
            connection.execute(
                text("INSERT INTO image_members VALUES (:id, 'q', 'accepted', 1, 2)"),
                {"id": str(number)},
            )
        migrate.upgrade(connection)
        found = connection.execute(
            text("SELECT image_id, project_id, status FROM shared_images")
        ).all()
    assert [tuple(row) for row in found] == [("0", "q", "accepted")]
