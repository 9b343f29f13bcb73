# SPDX-License-Identifier: Apache-2.0
"""What becomes of the RBD store when its cluster is full, frozen, restarted, or shuts it out: each
time the right error in time, nothing left, and working again afterwards.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from glancekit_rbd_store.bindings import ConnectionLost, bindings
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster, objects_of_images

from glancekit.plugin import (
    BlobInUse,
    FileStream,
    Location,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.store import Blobs
from glancekit.testing.waiting import wait_until

MIB = 1 << 20
DATA = bytes(range(256)) * 4096 * 3

MakeStore = Callable[..., RbdStore]

pytestmark = pytest.mark.usefixtures("an_empty_pool")


def put(store: RbdStore, data: bytes = DATA, image_id: str | None = None) -> Location:
    return Blobs(store).write(data, image_id=image_id)


def discarded(store: RbdStore, image_id: str) -> bool:
    with suppress(BlobInUse, StoreUnavailable):  # the cluster still sees the dead handle
        store.discard(image_id)
        return True
    return False


# -- full


def fill_cluster(ceph: Cluster, pool: str, full: bool) -> None:
    ceph.set_full(full)


def fill_pool(ceph: Cluster, pool: str, full: bool) -> None:
    ceph.set_quota(pool, 1 if full else 0)


@pytest.mark.timeout(240)  # a manager counts what is in a pool, at its leisure
@pytest.mark.parametrize("data_pool", [None, "data"])
@pytest.mark.parametrize("fill", [fill_cluster, fill_pool])
def test_what_is_full_says_so_and_can_be_emptied(
    make_store: MakeStore,
    ceph: Cluster,
    data_pool: str | None,
    fill: Callable[[Cluster, str, bool], None],
) -> None:
    store = make_store(rbd_store_data_pool=data_pool)
    location = put(store)
    filled = data_pool or "images"

    class Filling(FileStream):
        """A source in the middle of which there is no more room."""

        full = False

        def read(self, size: int = -1, /) -> bytes:
            if not self.full:
                self.full = True
                fill(ceph, filled, True)
            return super().read(size)

    try:
        with pytest.raises(StoreFull):
            store.write(str(uuid.uuid4()), Filling(io.BytesIO(DATA)), len(DATA))
        begun = time.monotonic()
        with pytest.raises(StoreFull):
            put(store)
        assert time.monotonic() - begun < 15
        assert Blobs(store).read(location) == DATA
        store.delete(location)
        with ceph.client("glance").open_ioctx("images") as pool:
            assert bindings().rbd.RBD().list(pool) == []
    finally:
        fill(ceph, filled, False)
    assert Blobs(store).read(put(store)) == DATA


# -- stopped and started again


def test_an_osd_that_stops_answering_is_told_in_time(make_store: MakeStore, ceph: Cluster) -> None:
    store = make_store(rbd_store_operation_timeout=1)
    image_id, location = str(uuid.uuid4()), put(store)

    class Freezing(FileStream):
        """A source in the middle of which the OSD stops."""

        left = 20

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if self.left == 0:
                ceph.freeze()
            return super().read(size)

    with store.open(location) as opened:
        try:
            with pytest.raises(StoreUnavailable):
                store.write(image_id, Freezing(io.BytesIO(DATA * 14)), len(DATA * 14))
            for call in (store.open, store.size, store.delete):
                with pytest.raises(StoreUnavailable):
                    call(location)
            with pytest.raises(StoreUnavailable):
                store.check()
            with pytest.raises(StoreUnavailable):
                opened.read(MIB)
        finally:
            ceph.thaw()
    assert Blobs(store).read(location) == DATA  # by the same connection
    wait_until(lambda: discarded(store, image_id))
    assert Blobs(store).read(put(store, image_id=image_id)) == DATA


def test_an_osd_that_was_frozen_begins_anew(ceph: Cluster) -> None:
    """Otherwise some placement group answers nothing any more, one time in ten or twenty."""

    def up_from() -> int:
        (osd,) = json.loads(ceph.command("osd dump", format="json"))["osds"]
        return int(osd["up_from"]) if osd["up"] else 0

    before = up_from()
    ceph.freeze()
    ceph.thaw()
    assert up_from() > before


def test_an_osd_that_comes_back_is_used_again(store: RbdStore, ceph: Cluster) -> None:
    location = put(store)
    ceph.restart_osd()
    assert Blobs(store).read(location) == DATA
    assert Blobs(store).read(put(store)) == DATA


def test_an_osd_that_is_restarted_midway_is_waited_for(store: RbdStore, ceph: Cluster) -> None:
    """Of a write, and of a read: what was under way is done by the one that comes back."""
    data = DATA * 10

    class Restarting(FileStream):
        left = 12

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if self.left == 0:
                ceph.restart_osd()
            return super().read(size)

    location = store.write(str(uuid.uuid4()), Restarting(io.BytesIO(data)), len(data))
    with store.open(location) as opened:
        begun = opened.read(MIB)
        ceph.restart_osd()
        assert begun + b"".join(opened) == data


# -- another store


@pytest.mark.parametrize("error", [StoreUnavailable, ConnectionLost])
def test_a_source_that_does_not_answer_is_not_the_cluster(
    store: RbdStore, ceph: Cluster, pool: Any, error: type[StoreUnavailable]
) -> None:
    """All is removed when the error is told, and the connection stays, be it of an RBD store."""

    class Silent(FileStream):
        """A source that another store gives up in the middle of."""

        left = 3

        def read(self, size: int = -1, /) -> bytes:
            self.left -= 1
            if self.left == 0:
                raise error("the other store")
            return super().read(size)

    put(store)
    with store._cluster.connected() as connection:
        before = connection
    with pytest.raises(error, match="the other store"):
        store.write(str(uuid.uuid4()), Silent(io.BytesIO(DATA * 10)), None)
    assert len(bindings().rbd.RBD().list(pool)) == 1
    with store._cluster.connected() as connection:
        assert connection is before


# -- shut out


def test_a_client_that_is_shut_out_connects_again(store: RbdStore, ceph: Cluster) -> None:
    location = put(store)
    with store._cluster.connected() as connection:
        (address,) = re.findall(r"[\d.]+:0/\d+", connection.client.get_addrs())
    ceph.command("osd blocklist", blocklistop="add", addr=address)
    with pytest.raises(StoreUnavailable):
        for _ in range(100):
            Blobs(store).read(location)
    assert Blobs(store).read(location) == DATA


def test_wrong_credentials_and_places(make_store: MakeStore, ceph: Cluster, tmp_path: Any) -> None:
    ring = tmp_path / "ring"
    ring.write_text((ceph.folder / "ceph.client.cinder.keyring").read_text())
    ring.write_text(ring.read_text().replace("cinder", "glance"))
    conf = tmp_path / "ceph.conf"
    rings = f"keyring = {ceph.folder}/ceph.$name.keyring"
    conf.write_text(ceph.conf.read_text().replace(rings, f"keyring = {ring}"))
    with pytest.raises(StoreDenied):
        make_store(rbd_store_ceph_conf=str(conf)).check()
    with pytest.raises(StoreDenied):
        put(make_store(rbd_store_user="cinder"))
    for given in ({"rbd_store_ceph_conf": "/nowhere"}, {"rbd_store_pool": "nowhere"}):
        with pytest.raises(StoreUnavailable, match=r"nowhere|connecting"):
            make_store(**given).check()


# -- without a monitor


def test_a_monitor_that_stops_answering_is_told_in_time(
    make_store: MakeStore, ceph: Cluster
) -> None:
    """Without it no snapshot comes or goes; what is there is read all the same."""
    store = make_store(rados_connect_timeout=1)
    location, image_id = put(store), str(uuid.uuid4())

    class Freezing(FileStream):
        """A source in the middle of which the monitor stops."""

        is_frozen = False

        def read(self, size: int = -1, /) -> bytes:
            if not self.is_frozen:
                self.is_frozen = True
                ceph.freeze_monitor()
            return super().read(size)

    begun = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable):
            store.write(image_id, Freezing(io.BytesIO(DATA)), len(DATA))
        for call in (lambda: put(store), lambda: store.delete(location), store.usage):
            with pytest.raises(StoreUnavailable):
                call()
        assert Blobs(store).read(location) == DATA
        assert time.monotonic() - begun < 60  # some would wait for ever
    finally:
        ceph.thaw_monitor()
    wait_until(lambda: discarded(store, image_id))
    assert Blobs(store).read(put(store, image_id=image_id)) == DATA
    store.delete(location)


def test_a_new_key_is_taken_up(make_store: MakeStore, ceph: Cluster) -> None:
    """The connection was made with the old one, which no monitor takes any more."""
    store = make_store(rados_connect_timeout=1)
    location = put(store)
    ceph.change_key("glance")
    ceph.restart_monitor()
    wait_until(lambda: "quorum" in str(ceph.command("quorum_status")))
    with pytest.raises(StoreUnavailable):
        put(store)

    def is_well() -> bool:
        with suppress(StoreUnavailable):
            store.delete(put(store))
            return True
        return False

    wait_until(is_well)
    assert Blobs(store).read(location) == DATA


def test_those_who_wait_for_a_connection_fail_with_it(
    make_store: MakeStore, ceph: Cluster
) -> None:
    """With monitors that hang they would have to wait one after the other."""
    store = make_store(rados_connect_timeout=3)
    ceph.freeze_monitor()
    try:
        begun = time.monotonic()
        with ThreadPoolExecutor(10) as threads:
            for each in [threads.submit(store.check) for _ in range(10)]:
                assert isinstance(each.exception(30), StoreUnavailable)
        assert time.monotonic() - begun < 20  # and not 30
    finally:
        ceph.thaw_monitor()
    store.check()


def test_no_monitor(make_store: MakeStore, ceph: Cluster, tmp_path: Any) -> None:
    conf = tmp_path / "ceph.conf"
    text = ceph.conf.read_text()
    mon = next(line for line in text.splitlines() if line.startswith("mon host"))
    conf.write_text(text.replace(mon, "mon host = [v2:127.0.0.1:9/0]"))
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        make_store(rbd_store_ceph_conf=str(conf), rados_connect_timeout=1).check()
    assert time.monotonic() - begun < 10  # Ceph's own time-out is 300 s


# -- killed


WRITES_AND_DELETES = """
import io, sys, uuid
from types import SimpleNamespace
from glancekit_rbd_store.driver import RbdStore
from glancekit.plugin import FileStream

settings = {option.name: option.default for option in RbdStore.options}
settings |= {"rbd_store_ceph_conf": sys.argv[1], "rbd_store_user": "glance"}
settings |= {"rbd_store_chunk_size": 1}
store = RbdStore(SimpleNamespace(**settings), name="rbd")
while True:
    image_id = str(uuid.uuid4())
    print(image_id, flush=True)
    store.delete(store.write(image_id, FileStream(io.BytesIO(bytes(24 << 20))), None))
"""


def test_those_who_are_killed_leave_no_bytes(store: RbdStore, ceph: Cluster, pool: Any) -> None:
    """At some instant of a write or a deletion, a dozen times."""
    begun: list[str] = []
    for number in range(12):
        program = [sys.executable, "-c", WRITES_AND_DELETES, str(ceph.conf)]
        with subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert process.stdout is not None
            begun.append(process.stdout.readline().strip())
            time.sleep(number * 0.06)
            process.kill()
            begun.extend(line.strip() for line in process.stdout)
    for image_id in begun:
        wait_until(lambda image_id=image_id: discarded(store, image_id))

    def is_swept() -> bool:
        for remnant in filter(None, store.remnants(0)):
            store.sweep(remnant)
        return objects_of_images(pool) == []

    wait_until(is_swept)
