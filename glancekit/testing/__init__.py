# SPDX-License-Identifier: Apache-2.0
"""The conformance kit: what every driver promises, as tests to inherit; and parts for tests.

Needs pytest (``pip install glancekit[testing]``). Of no use to a running service.
"""

from __future__ import annotations

import pytest

# Before they are imported, so that a failed promise is explained like any other test's.
pytest.register_assert_rewrite(
    "glancekit.testing.auth",
    "glancekit.testing.cache",
    "glancekit.testing.commands",
    "glancekit.testing.hooks",
    "glancekit.testing.importing",
    "glancekit.testing.limits",
    "glancekit.testing.metadata",
    "glancekit.testing.metadata_caches",
    "glancekit.testing.metadata_concurrency",
    "glancekit.testing.metadata_events",
    "glancekit.testing.metadata_images",
    "glancekit.testing.metadata_ledger",
    "glancekit.testing.metadata_lists",
    "glancekit.testing.metadata_locations",
    "glancekit.testing.metadata_periodic",
    "glancekit.testing.metadata_quotas",
    "glancekit.testing.metadata_tasks",
    "glancekit.testing.metadata_units_of_work",
    "glancekit.testing.metadata_visibility",
    "glancekit.testing.metadefs",
    "glancekit.testing.store",
    "glancekit.testing.upstream_store",
)

from glancekit.testing.auth import AuthConformance  # noqa: E402
from glancekit.testing.cache import CachePolicyConformance  # noqa: E402
from glancekit.testing.commands import CommandsConformance, Typed  # noqa: E402
from glancekit.testing.hooks import HooksConformance  # noqa: E402
from glancekit.testing.importing import (  # noqa: E402
    ImportMethodConformance,
    ImportStepConformance,
)
from glancekit.testing.limits import LimitsConformance  # noqa: E402
from glancekit.testing.memory_limits import MemoryLimits  # noqa: E402
from glancekit.testing.memory_metadata import MemoryMetadata  # noqa: E402
from glancekit.testing.memory_store import MemoryStore  # noqa: E402
from glancekit.testing.metadata import MetadataConformance  # noqa: E402
from glancekit.testing.store import StoreConformance  # noqa: E402

__all__ = [
    "AuthConformance",
    "CachePolicyConformance",
    "CommandsConformance",
    "HooksConformance",
    "ImportMethodConformance",
    "ImportStepConformance",
    "LimitsConformance",
    "MemoryLimits",
    "MemoryMetadata",
    "MemoryStore",
    "MetadataConformance",
    "StoreConformance",
    "Typed",
]
