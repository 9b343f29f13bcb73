# SPDX-License-Identifier: Apache-2.0
"""The metadata kit accepts the memory driver."""

from __future__ import annotations

import pytest

from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.metadata import MetadataConformance


class TestMemoryMetadata(MetadataConformance):
    """The plainest driver keeps the contract."""

    outlives_the_process = False

    @pytest.fixture
    def driver(self) -> MemoryMetadata:
        return MemoryMetadata()
