# SPDX-License-Identifier: Apache-2.0
"""What projects use, and what is reserved for copies being written."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from glancekit_sql_metadata.migrations import steps

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Nothing was reserved before, and nothing was staged.
_COUNT = """
INSERT INTO project_usage (project_id, image_bytes, stage_bytes, images, uploading)
SELECT owner, SUM(size * copies), 0, COUNT(*), SUM(uploading)
FROM (
    SELECT images.id, images.owner, COALESCE(images.size, 0) AS size,
        COUNT(CASE WHEN image_locations.status <> 'writing' THEN 1 END) AS copies,
        MAX(CASE WHEN image_locations.status = 'writing'
            OR images.status IN ('saving', 'uploading', 'importing')
            THEN 1 ELSE 0 END) AS uploading
    FROM images LEFT JOIN image_locations ON image_locations.image_id = images.id
    WHERE images.owner IS NOT NULL
    GROUP BY images.id, images.owner, images.size
) AS counted
GROUP BY owner
"""


def upgrade() -> None:
    """Make the tables, and count what there is."""
    steps.make_table(
        "project_usage",
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("image_bytes", sa.BigInteger, nullable=False),
        sa.Column("stage_bytes", sa.BigInteger, nullable=False),
        sa.Column("images", sa.BigInteger, nullable=False),
        sa.Column("uploading", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="pk_project_usage"),
    )
    steps.make_table(
        "location_reservations",
        sa.Column("location_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("location_id", name="pk_location_reservations"),
    )
    if not steps.table_has_rows("project_usage"):
        op.execute(_COUNT)


def downgrade() -> None:
    """Drop them; what they say is counted anew on the way back."""
    steps.drop_table("location_reservations")
    steps.drop_table("project_usage")
