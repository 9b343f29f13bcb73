# SPDX-License-Identifier: Apache-2.0
"""The VMware store keeps the promises of a store, in one datastore and in two."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from glancekit_vmware_store.driver import VmwareStore
from glancekit_vmware_store.testing import Simulator

from glancekit.plugin import (
    SupportsDelete,
    SupportsDetails,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
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
        SupportsSweep,
        SupportsListing,
        SupportsPlaces,
    }

    @pytest.fixture
    def driver(self, build: Callable[..., VmwareStore]) -> VmwareStore:
        return build()

    @pytest.fixture
    def twin(self, build: Callable[..., VmwareStore]) -> VmwareStore:
        return build(vmware_api_retry_count=1)

    @pytest.fixture
    def leftovers(self, files: Callable[[], list[Path]]) -> Callable[[], list[Path]]:
        return files

    @pytest.fixture
    def abandon(self, vcenter: Simulator) -> Callable[[str], object]:
        """Leave a file that nobody goes on with."""
        folder = vcenter.datastore() / "openstack_glance"
        return lambda image_id: (folder / f"{image_id}.{uuid.uuid4().hex}.part").touch()

    @pytest.fixture
    def stranger(self, vcenter: Simulator) -> Iterator[Callable[[str], object]]:
        """Leave files that have nothing to do with images, and one that is elsewhere."""
        folder, left = vcenter.datastore() / "openstack_glance", list[Path]()

        def leave(image_id: str) -> None:
            left.extend((folder / "README", folder / f"{image_id}.vmdk", folder.parent / image_id))
            for path in left:
                path.write_bytes(b"somebody else's")

        yield leave
        for path in left:
            path.unlink()


class TestVmwareStoreOfTwoDatastores(TestVmwareStore):
    @pytest.fixture
    def driver(self, build: Callable[..., VmwareStore]) -> VmwareStore:
        return build(vmware_datastores=["DC0:LocalDS_0", "DC0:LocalDS_1"])
