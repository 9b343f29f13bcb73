# SPDX-License-Identifier: Apache-2.0
"""How periodic tasks stand, and the last of their runs."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the two tables."""
    steps.make_table(
        "periodic_states",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("is_paused", sa.Boolean, nullable=False),
        sa.Column("requested_at", sa.BigInteger),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("runner", sa.String(255), nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", "host", name="pk_periodic_states"),
    )
    steps.make_table(
        "periodic_runs",
        sa.Column("id", _COUNTER, nullable=False, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("runner", sa.String(255), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("result", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_periodic_runs"),
        sqlite_autoincrement=True,
    )
    steps.make_index("periodic_runs", "name", "host", "id")
    steps.make_index("periodic_runs", "name", "id")


def downgrade() -> None:
    """Drop them."""
    steps.drop_table("periodic_runs")
    steps.drop_table("periodic_states")
