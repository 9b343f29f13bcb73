# SPDX-License-Identifier: Apache-2.0
"""MariaDB goes away, comes back, is full, busy, older: what server drivers have to show."""

from __future__ import annotations

from glancekit_sql_metadata.testing import ServerConformance


class TestMysqlServer(ServerConformance):
    """The suite for servers on a real one."""
