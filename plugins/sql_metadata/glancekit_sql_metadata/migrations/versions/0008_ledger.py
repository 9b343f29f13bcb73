# SPDX-License-Identifier: Apache-2.0
"""What projects took of stores by days, and how far work is that goes through everything."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

from glancekit_sql_metadata.migrations import steps

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Since when each image is there is known, but not what it was before its last change: the ledger
# begins now.
_KEPT = sa.text(
    """
INSERT INTO storage_changes (project_id, store, amount, at)
SELECT images.owner, image_locations.store, SUM(images.size), :now
FROM images JOIN image_locations ON image_locations.image_id = images.id
WHERE images.owner IS NOT NULL AND images.size > 0 AND image_locations.status <> 'writing'
    AND SUBSTR(image_locations.store, 1, 10) <> 'os_glance_'
GROUP BY images.owner, image_locations.store
"""
)


def upgrade() -> None:
    """Make the tables, and note what is kept now."""
    counter = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    steps.make_table(
        "storage_changes",
        sa.Column("id", counter, autoincrement=True, nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_storage_changes"),
        sqlite_autoincrement=True,
    )
    steps.make_table(
        "storage_accounts",
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "store", name="pk_storage_accounts"),
    )
    steps.make_index("storage_accounts", "at", "amount")
    steps.make_table(
        "storage_use",
        sa.Column("day", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("store", sa.String(255), nullable=False),
        sa.Column("byte_hours", sa.BigInteger, nullable=False),
        sa.Column("rest", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("day", "project_id", "store", name="pk_storage_use"),
    )
    steps.make_index("storage_use", "project_id", "day", "store")
    steps.make_table(
        "marks",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_marks"),
    )
    if not steps.table_has_rows("storage_changes"):
        op.get_bind().execute(_KEPT, {"now": time.time_ns() // 1000})


def downgrade() -> None:
    """Drop them; the ledger begins anew on the way back."""
    for table in ("marks", "storage_use", "storage_accounts", "storage_changes"):
        steps.drop_table(table)
