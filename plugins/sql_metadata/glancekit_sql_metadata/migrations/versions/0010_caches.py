# SPDX-License-Identifier: Apache-2.0
"""Which hosts have which images in their cache."""

from __future__ import annotations

import sqlalchemy as sa

from glancekit_sql_metadata.migrations import steps

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    steps.make_table(
        "cached_images",
        sa.Column("node", sa.String(255), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("node", "image_id", name="pk_cached_images"),
    )
    steps.make_index("cached_images", "image_id")


def downgrade() -> None:
    """Drop it: the hosts say it again."""
    steps.drop_table("cached_images")
