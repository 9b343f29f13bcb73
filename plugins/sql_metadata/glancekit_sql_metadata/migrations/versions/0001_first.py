# SPDX-License-Identifier: Apache-2.0
"""The first schema. Written out, because a migration must not change when tables.py does."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table."""
    _images()
    _locations()
    _members()
    _events()
    _leases()


def _images() -> None:
    steps.make_table(
        "images",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("visibility", sa.String(10), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("disk_format", sa.String(20)),
        sa.Column("container_format", sa.String(20)),
        sa.Column("size", sa.BigInteger),
        sa.Column("virtual_size", sa.BigInteger),
        sa.Column("checksum", sa.String(32)),
        sa.Column("os_hash_algo", sa.String(64)),
        sa.Column("os_hash_value", sa.String(128)),
        sa.Column("min_disk", sa.Integer, nullable=False),
        sa.Column("min_ram", sa.Integer, nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("os_hidden", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("properties", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
    )
    for column in ("name", "updated_at"):
        for whose in (["visibility"], ["owner", "visibility"]):
            columns = [*whose, "os_hidden", column, "created_at", "id"]
            steps.make_index("images", *columns)
    steps.make_table(
        "image_lists",
        sa.Column("list", sa.LargeBinary(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("list", "created_at", "image_id", name="pk_image_lists"),
        sqlite_with_rowid=False,
    )
    steps.make_table(
        "deleted_images",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("deleted_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deleted_images"),
    )


def _locations() -> None:
    steps.make_table(
        "image_locations",
        sa.Column("id", _COUNTER, nullable=False, autoincrement=True),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="pk_image_locations"),
        sa.UniqueConstraint("image_id", "store", name="uq_image_locations_image_id_store"),
        sqlite_autoincrement=True,
    )
    steps.make_index("image_locations", "status", "id")


def _members() -> None:
    steps.make_table(
        "image_members",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "project_id", name="pk_image_members"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_image_members_image_id"),
    )


def _events() -> None:
    steps.make_table(
        "events",
        sa.Column("position", _COUNTER, nullable=False, autoincrement=True),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(255)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("request_id", sa.String(255)),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_events"),
        sqlite_autoincrement=True,
    )
    steps.make_index("events", "at")
    steps.make_table(
        "event_cursors",
        sa.Column("listener", sa.String(255), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("listener", name="pk_event_cursors"),
    )


def _leases() -> None:
    steps.make_table(
        "leases",
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("holder", name="pk_leases"),
    )


def downgrade() -> None:
    """Drop every table."""
    for name in (
        "leases",
        "event_cursors",
        "events",
        "image_members",
        "image_locations",
        "deleted_images",
        "image_lists",
        "images",
    ):
        steps.drop_table(name)
