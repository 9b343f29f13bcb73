# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions: namespaces, what they define, and the types of things they are for."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of metadata definitions."""
    steps.make_table(
        "metadef_namespaces",
        sa.Column("id", _COUNTER, nullable=False, autoincrement=True),
        sa.Column("namespace", sa.String(80), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("display_name", sa.String(80)),
        sa.Column("description", sa.Text),
        sa.Column("visibility", sa.String(10), nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("enforced", sa.Boolean, nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_metadef_namespaces"),
        sa.UniqueConstraint("namespace", name="uq_metadef_namespaces_namespace"),
        sqlite_autoincrement=True,
    )
    steps.make_index("metadef_namespaces", "enforced")
    for column in ("created_at", "updated_at"):
        steps.make_index("metadef_namespaces", column, "namespace")
    steps.make_table(
        "metadef_definitions",
        sa.Column("namespace_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("namespace_id", "kind", "name", name="pk_metadef_definitions"),
        _in_namespace("metadef_definitions"),
    )
    steps.make_table(
        "metadef_associations",
        sa.Column("namespace_id", sa.BigInteger, nullable=False),
        sa.Column("resource_type", sa.String(80), nullable=False),
        sa.Column("prefix", sa.String(80)),
        sa.Column("properties_target", sa.String(80)),
        *_times(),
        sa.PrimaryKeyConstraint("namespace_id", "resource_type", name="pk_metadef_associations"),
        _in_namespace("metadef_associations"),
    )
    steps.make_table(
        "metadef_resource_types",
        sa.Column("name", sa.String(80), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("name", name="pk_metadef_resource_types"),
    )


def downgrade() -> None:
    """Drop them."""
    for name in (
        "metadef_resource_types",
        "metadef_associations",
        "metadef_definitions",
        "metadef_namespaces",
    ):
        steps.drop_table(name)


def _times() -> tuple[sa.Column[int], ...]:
    return (
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
    )


def _in_namespace(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["namespace_id"], ["metadef_namespaces.id"], name=f"fk_{table}_namespace_id"
    )
