# SPDX-License-Identifier: Apache-2.0
"""MariaDB keeps the metadata contract."""

from __future__ import annotations

from glancekit.testing.metadata import MetadataConformance


class TestMysqlMetadata(MetadataConformance):
    """The kit's suite on a real server."""
