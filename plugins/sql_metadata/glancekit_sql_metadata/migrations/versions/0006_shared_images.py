# SPDX-License-Identifier: Apache-2.0
"""What is shared with a project, in the orders of its pages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from glancekit_sql_metadata.migrations import steps

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FILL = """
INSERT INTO shared_images
    (image_id, project_id, status, os_hidden, name, created_at, updated_at)
SELECT image_members.image_id, image_members.project_id, image_members.status,
    images.os_hidden, images.name, images.created_at, images.updated_at
FROM image_members JOIN images ON images.id = image_members.image_id
WHERE images.visibility = 'shared'
"""


def upgrade() -> None:
    """Make the table, and enter what there is."""
    steps.make_table(
        "shared_images",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("os_hidden", sa.Boolean, nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "project_id", name="pk_shared_images"),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name="fk_shared_images_image_id"),
    )
    for column in ("name", "updated_at"):
        steps.make_index(
            "shared_images",
            *("project_id", "status", "os_hidden", column, "created_at", "image_id"),
            name=f"ix_shared_images_by_{column}",
        )
    if not steps.table_has_rows("shared_images"):
        op.execute(_FILL)


def downgrade() -> None:
    """Drop it; it is filled anew on the way back."""
    steps.drop_table("shared_images")
