# SPDX-License-Identifier: Apache-2.0
"""The Swift store keeps the promises of a store: as one object, and in segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from glancekit_swift_store.driver import SwiftStore

from glancekit.plugin import (
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing import StoreConformance


class TestSwiftStore(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsDirectUrl,
        SupportsUsage,
        SupportsHealth,
        SupportsDetails,
    }

    @pytest.fixture
    def driver(self, build: Callable[..., SwiftStore], container: str) -> SwiftStore:
        return build(container, swift_store_temp_url_key="signed")

    @pytest.fixture
    def leftovers(self, outside: Any, container: str) -> Callable[[], list[str]]:
        return lambda: outside.names(container)


class TestSwiftStoreInSegments(TestSwiftStore):
    """With segments smaller than an option allows, so that small data comes in several."""

    @pytest.fixture
    def driver(self, build: Callable[..., SwiftStore], container: str) -> SwiftStore:
        driver = build(container, swift_store_temp_url_key="signed")
        driver._settings = replace(driver._settings, segment_size=400_000, whole_below=0)
        return driver


class TestSwiftStoreWithKeystone(TestSwiftStore):
    @pytest.fixture
    def site(self, with_keystone: Any) -> Any:
        return with_keystone
