# SPDX-License-Identifier: Apache-2.0
"""What several hosts need: a row to hold, and what was committed lately."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables."""
    steps.make_table(
        "locks",
        sa.Column("name", sa.String(30), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_locks"),
    )
    steps.make_table(
        "commits",
        sa.Column("token", sa.String(36), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_commits"),
    )
    steps.make_index("commits", "at")


def downgrade() -> None:
    """Drop them."""
    steps.drop_table("commits")
    steps.drop_table("locks")
