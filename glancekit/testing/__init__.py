# SPDX-License-Identifier: Apache-2.0
"""The conformance kit: what every driver promises, as tests to inherit; and parts for tests.

Needs pytest (``pip install glancekit[testing]``). Of no use to a running service.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("glancekit.testing.store")

from glancekit.testing.memory_store import MemoryStore  # noqa: E402
from glancekit.testing.store import StoreConformance  # noqa: E402

__all__ = ["MemoryStore", "StoreConformance"]
