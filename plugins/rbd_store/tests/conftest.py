# SPDX-License-Identifier: Apache-2.0
"""One real Ceph for all tests of this folder, and stores in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster, missing

MakeStore = Callable[..., RbdStore]


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    with Cluster(tmp_path_factory.mktemp("ceph") / "cluster") as cluster:
        yield cluster


@pytest.fixture
def make_store(ceph: Cluster) -> Iterator[MakeStore]:
    """Make stores with the given options; they are closed at the end."""
    made: list[RbdStore] = []

    def make(**given: object) -> RbdStore:
        settings = {option.name: option.default for option in RbdStore.options}
        settings |= {"rbd_store_ceph_conf": str(ceph.conf), "rbd_store_user": "glance"}
        made.append(RbdStore(SimpleNamespace(**settings | given), name="rbd"))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture
def pool(ceph: Cluster) -> Iterator[Any]:
    """The pool of the images, as the store's user sees it."""
    with ceph.client("glance").open_ioctx("images") as ioctx:
        yield ioctx
