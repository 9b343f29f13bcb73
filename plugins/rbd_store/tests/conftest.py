# SPDX-License-Identifier: Apache-2.0
"""One real Ceph for all tests of this folder, and stores in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_rbd_store.bindings import bindings
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
def store(make_store: MakeStore) -> RbdStore:
    return make_store()


@pytest.fixture
def pool(ceph: Cluster) -> Iterator[Any]:
    """The pool of the images, as the store's user sees it."""
    with ceph.client("glance").open_ioctx("images") as ioctx:
        yield ioctx


@pytest.fixture
def an_empty_pool(ceph: Cluster) -> Iterator[None]:
    """Remove what a test leaves on purpose, clones first."""
    yield
    rbd = bindings().rbd
    for name in ("volumes", "images"):
        with ceph.client("admin").open_ioctx(name) as ioctx:
            for image in rbd.RBD().list(ioctx):
                _remove(ioctx, image)


def _remove(pool: Any, name: str) -> None:
    rbd = bindings().rbd
    with rbd.Image(pool, name) as image:
        for snapshot in list(image.list_snaps()):
            if image.is_protected_snap(snapshot["name"]):
                image.unprotect_snap(snapshot["name"])
            image.remove_snap(snapshot["name"])
    rbd.RBD().remove(pool, name)
