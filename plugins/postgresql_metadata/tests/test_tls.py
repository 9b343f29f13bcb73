# SPDX-License-Identifier: Apache-2.0
"""Connections to PostgreSQL are encrypted and verified. The cases are glancekit_sql_metadata's."""

from __future__ import annotations

from glancekit_sql_metadata.testing_tls import TlsConformance


class TestPostgresqlTls(TlsConformance):
    """The suite for TLS on a real server."""
