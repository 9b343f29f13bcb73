# SPDX-License-Identifier: Apache-2.0
"""When each copy of an image was audited, and what was found."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLE = "image_locations"
_BY_AGE = ("store", "status", "audited_at", "id")
_BY_FINDING = ("finding", "id")


def upgrade() -> None:
    """Add the columns; no copy has been audited yet."""
    steps.add_column(
        _TABLE, sa.Column("audited_at", sa.BigInteger, nullable=False, server_default="0")
    )
    steps.add_column(_TABLE, sa.Column("verified_at", sa.BigInteger))
    steps.add_column(_TABLE, sa.Column("finding", sa.String(20)))
    steps.add_column(_TABLE, sa.Column("reason", sa.Text))
    steps.make_index(_TABLE, *_BY_AGE)
    steps.make_index(_TABLE, *_BY_FINDING)


def downgrade() -> None:
    """Drop them; what was found is lost."""
    steps.drop_index(_TABLE, *_BY_FINDING)
    steps.drop_index(_TABLE, *_BY_AGE)
    for name in ("reason", "finding", "verified_at", "audited_at"):
        steps.drop_column(_TABLE, name)
