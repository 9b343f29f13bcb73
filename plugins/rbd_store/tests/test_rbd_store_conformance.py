# SPDX-License-Identifier: Apache-2.0
"""The RBD store keeps the promises of a store, on a real Ceph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster

from glancekit.plugin import (
    SupportsClone,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
)
from glancekit.testing import StoreConformance


class TestRbdStore(StoreConformance):
    capabilities: ClassVar = {
        SupportsWrite,
        SupportsDelete,
        SupportsRange,
        SupportsDirectUrl,
        SupportsClone,
        SupportsUsage,
        SupportsHealth,
        SupportsDetails,
        SupportsSweep,
        SupportsListing,
        SupportsPlaces,
    }

    @pytest.fixture
    def driver(self, make_store: Callable[..., RbdStore]) -> RbdStore:
        return make_store()

    @pytest.fixture
    def twin(self, make_store: Callable[..., RbdStore], ceph: Cluster, tmp_path: Path) -> RbdStore:
        """A store that finds the cluster by another file."""
        conf = tmp_path / "another.conf"
        conf.write_text(ceph.conf.read_text())
        return make_store(rbd_store_ceph_conf=str(conf), rbd_store_chunk_size=4)

    @pytest.fixture
    def leftovers(self, pool: Any) -> Callable[[], list[object]]:
        rbd = bindings().rbd
        return lambda: [*rbd.RBD().list(pool), *rbd.RBD().trash_list(pool)]

    @pytest.fixture
    def abandon(self, pool: Any) -> Callable[[str], object]:
        """Make an image that nobody goes on to fill."""
        create = bindings().rbd.RBD().create
        return lambda image_id: create(pool, f"{image_id}.writing.0123456789ab", 1 << 20)

    @pytest.fixture
    def stranger(self, pool: Any) -> Iterator[Callable[[str], object]]:
        """Make a disk of a machine and a volume, as they may share a pool with images."""
        rbd, left = bindings().rbd.RBD(), list[str]()

        def leave(image_id: str) -> None:
            left.extend((f"{image_id}_disk", f"volume-{image_id}"))
            for name in left:
                rbd.create(pool, name, 1 << 20)

        yield leave
        for name in left:
            rbd.remove(pool, name)


class TestThinRbdStore(TestRbdStore):
    @pytest.fixture
    def driver(self, make_store: Callable[..., RbdStore]) -> RbdStore:
        return make_store(rbd_thin_provisioning=True)


class TestRbdStoreWithADataPool(TestRbdStore):
    @pytest.fixture
    def driver(self, make_store: Callable[..., RbdStore]) -> RbdStore:
        return make_store(rbd_store_data_pool="data", rbd_store_chunk_size=1)
