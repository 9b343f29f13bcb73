# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs migrations on the connection that migrate.py hands over."""

from __future__ import annotations

from alembic import context

from glancekit_sql_metadata.tables import metadata

# The caller began the transaction and ends it, so that all migrations are true or none.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
