# SPDX-License-Identifier: Apache-2.0
"""Data of the upstream service's store library and of this store are each other's: the shared
tests, in one pool. What either does with its own data is not the business here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster

from glancekit.testing.upstream_store import UpstreamConformance, UpstreamStore, missing


@pytest.fixture(scope="module")
def upstream(ceph: Cluster) -> Iterator[UpstreamStore]:
    wanted = missing("rbd")
    if wanted is not None:
        pytest.skip(wanted)
    options = {"rbd_store_ceph_conf": str(ceph.conf), "rbd_store_user": "glance"}
    with UpstreamStore("rbd", options) as upstream:
        yield upstream
    with ceph.client("glance").open_ioctx("images") as pool:
        assert bindings().rbd.RBD().list(pool) == []


@pytest.fixture
def driver(make_store: Callable[..., RbdStore]) -> RbdStore:
    return make_store()


class TestUpstream(UpstreamConformance):
    """One pool, two libraries."""


class TestUpstreamInObjects(UpstreamConformance):
    """The same with images of several objects, the last of which is not full."""

    data = bytes(range(256)) * (70 << 10)


class TestUpstreamOfThinImages(UpstreamConformance):
    """The same with our images thin, and theirs not."""

    data = b"begin" + bytes(9 << 20) + b"middle" + bytes(12 << 20) + b"end"

    @pytest.fixture
    def driver(self, make_store: Callable[..., RbdStore]) -> RbdStore:
        return make_store(rbd_thin_provisioning=True)
