# SPDX-License-Identifier: Apache-2.0
"""The driver. What it does is the same for all servers; PostgreSQL's ways are in dialect.py."""

from __future__ import annotations

from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.server_dialect import Limits, ServerDialect

from glancekit_postgresql_metadata.dialect import PostgresqlDialect


class PostgresqlMetadata(ServerMetadata):
    """Records in a PostgreSQL database."""

    def make_dialect(self, connection: str | None, limits: Limits) -> ServerDialect:
        """See there."""
        return PostgresqlDialect(connection, limits)
