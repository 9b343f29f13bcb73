# SPDX-License-Identifier: Apache-2.0
"""Tasks."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of tasks."""
    steps.make_table(
        "tasks",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("type", sa.String(30), nullable=False),
        sa.Column("status", sa.String(30), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("image_id", sa.String(36)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("request_id", sa.String(255)),
        sa.Column("input", sa.Text, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("holder", sa.String(255)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
    )
    for columns in (
        ["created_at", "id"],
        ["status", "created_at", "id"],
        ["image_id", "created_at", "id"],
        ["expires_at"],
    ):
        steps.make_index("tasks", *columns)


def downgrade() -> None:
    """Drop it."""
    steps.drop_table("tasks")
