# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL keeps the metadata contract."""

from __future__ import annotations

from glancekit.testing.metadata import MetadataConformance


class TestPostgresqlMetadata(MetadataConformance):
    """The kit's suite on a real server."""
