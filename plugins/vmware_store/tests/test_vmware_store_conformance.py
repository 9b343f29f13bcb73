# SPDX-License-Identifier: Apache-2.0
"""The VMware store keeps the promises of a store, in one datastore and in two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from glancekit_vmware_store.driver import VmwareStore

from glancekit.plugin import (
    SupportsDelete,
    SupportsDetails,
    SupportsHealth,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing import StoreConformance


class TestVmwareStore(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsUsage,
        SupportsHealth,
        SupportsDetails,
    }

    @pytest.fixture
    def driver(self, build: Callable[..., VmwareStore]) -> VmwareStore:
        return build()

    @pytest.fixture
    def leftovers(self, files: Callable[[], list[Path]]) -> Callable[[], list[Path]]:
        return files


class TestVmwareStoreOfTwoDatastores(TestVmwareStore):
    @pytest.fixture
    def driver(self, build: Callable[..., VmwareStore]) -> VmwareStore:
        return build(vmware_datastores=["DC0:LocalDS_0", "DC0:LocalDS_1"])
