# SPDX-License-Identifier: Apache-2.0
"""The driver. What it does is the same for all servers; MariaDB's ways are in dialect.py."""

from __future__ import annotations

from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.server_dialect import Limits, ServerDialect

from glancekit_mysql_metadata.dialect import MysqlDialect


class MysqlMetadata(ServerMetadata):
    """Records in a database of MariaDB or MySQL."""

    def make_dialect(self, connection: str | None, limits: Limits) -> ServerDialect:
        """See there."""
        return MysqlDialect(connection, limits)
