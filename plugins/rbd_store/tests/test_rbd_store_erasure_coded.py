# SPDX-License-Identifier: Apache-2.0
"""The RBD store with a real erasure-coded data pool: the bytes of an image spread over three OSDs,
one of which goes. What an image is otherwise, is the other tests' business.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster, missing

from glancekit.plugin import FileStream, Location

DATA = bytes(range(256)) * (70 << 10)


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    folder = tmp_path_factory.mktemp("spread") / "cluster"
    with Cluster(folder, size=1 << 30, erasure_coded=True) as cluster:
        yield cluster


@pytest.fixture
def store(spread: Cluster) -> Iterator[RbdStore]:
    settings = {option.name: option.default for option in RbdStore.options}
    settings |= {"rbd_store_ceph_conf": str(spread.conf), "rbd_store_user": "glance"}
    settings |= {"rbd_store_data_pool": "data", "rbd_thin_provisioning": True}
    store = RbdStore(SimpleNamespace(**settings), name="rbd")
    yield store
    store.close()


def data_in(pool: Any) -> int:
    """Return how many bytes of images are in a pool."""
    return sum(pool.stat(each.key)[0] for each in pool.list_objects() if "rbd_data" in each.key)


def read(store: RbdStore, location: Location) -> bytes:
    with store.open(location) as opened:
        return b"".join(opened)


def test_an_image_survives_an_osd(store: RbdStore, spread: Cluster) -> None:
    image_id = str(uuid.uuid4())
    location = store.write(image_id, FileStream(io.BytesIO(DATA)), None)
    clone = store.clone(location, str(uuid.uuid4()))
    assert location.url == f"rbd://{spread.fsid}/images/{image_id}/snap"
    images, data = (spread.client("glance").open_ioctx(name) for name in ("images", "data"))
    with images, data:
        with bindings().rbd.Image(images, image_id, read_only=True) as image:
            assert image.data_pool_id() == data.get_pool_id()
        assert (data_in(data), data_in(images)) == (len(DATA), 0)
        assert read(store, location) == DATA

        spread.kill_osd(2)
        assert read(store, location) == read(store, clone) == DATA
        with store.open_range(location, 9_000_000, 1_000_000) as opened:
            assert b"".join(opened) == DATA[9_000_000:10_000_000]
        store.delete(clone)
        store.delete(location)
        assert data_in(data) == 0
