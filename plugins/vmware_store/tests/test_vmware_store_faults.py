# SPDX-License-Identifier: Apache-2.0
"""What becomes of the VMware store when its server or the way to it fails: stopped, frozen, cut,
full. Each test ends with a store that works, without a new driver, and with nothing left."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from glancekit_vmware_store.driver import VmwareStore
from glancekit_vmware_store.testing import DATASTORES, Simulator, missing

from glancekit.plugin import (
    BlobNotFound,
    ByteStream,
    FileStream,
    GlancekitError,
    IteratorStream,
    Location,
    StoreDenied,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit.testing.wire import FaultyWire

MIB = 1 << 20
DATA = bytes(range(256)) * 65536
"""16 MiB: more than the buffers of a connection hold."""

Build = Callable[..., VmwareStore]
Files = Callable[[], list[Path]]


@pytest.fixture
def way(vcenter: Simulator) -> Iterator[FaultyWire]:
    with FaultyWire(int(vcenter.address.rpartition(":")[2])) as way:
        yield way


@pytest.fixture
def driver(build: Build) -> VmwareStore:
    """A driver that does not wait long."""
    return build(vmware_call_timeout=1.0, vmware_idle_timeout=0.5, vmware_api_retry_count=1)


@pytest.fixture(autouse=True)
def it_works_afterwards(vcenter: Simulator, driver: VmwareStore, files: Files) -> Iterator[None]:
    """The end of every test: the same driver writes, reads and deletes; no file remains."""
    if not vcenter.is_running:  # an earlier test failed before it had started it again
        vcenter.start()
    yield
    driver.check()
    location = put(driver, b"well again")
    with driver.open(location) as opened:
        assert opened.read() == b"well again"
    driver.delete(location)
    assert files() == []


def put(driver: VmwareStore, data: bytes = DATA, image_id: str | None = None) -> Location:
    source = FileStream(io.BytesIO(data))
    return driver.write(image_id or str(uuid.uuid4()), source, len(data))


def interrupted(happening: Callable[[], object]) -> ByteStream:
    """A source of 16 MiB, in the middle of which something happens."""

    def chunks() -> Iterator[bytes]:
        for number in range(16):
            if number == 8:
                happening()
            yield DATA[:MIB]

    return IteratorStream(chunks())


# -- the server


@pytest.mark.parametrize("size", [16 * MIB, None])
def test_a_server_that_stops_midway_of_a_write(
    vcenter: Simulator, driver: VmwareStore, files: Files, size: int | None
) -> None:
    image_id = str(uuid.uuid4())
    with pytest.raises(StoreUnavailable):
        driver.write(image_id, interrupted(vcenter.stop), size)
    (left,) = files()
    assert left.name.startswith(f"{image_id}.")  # nothing under the image's own name
    vcenter.start()
    driver.discard(image_id)


def test_a_server_that_stops_midway_of_a_read(vcenter: Simulator, driver: VmwareStore) -> None:
    location = put(driver)
    with driver.open(location) as opened:
        opened.read(MIB)
        vcenter.stop()
        with pytest.raises(StoreUnavailable):
            b"".join(opened)
    vcenter.start()
    driver.delete(location)


def test_a_server_that_restarts_midway_of_a_read(vcenter: Simulator, driver: VmwareStore) -> None:
    """The session ends with it."""
    location = put(driver)
    with driver.open(location) as opened:
        start = opened.read(MIB)
        vcenter.stop()
        vcenter.start()
        assert start + b"".join(opened) == DATA
    driver.delete(location)


def test_a_server_that_is_away_for_a_moment_midway_of_a_read(
    vcenter: Simulator, driver: VmwareStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit_vmware_store.reading._FIRST_PAUSE", 1.0)  # on a busy machine
    location = put(driver)
    with driver.open(location) as opened:
        start = opened.read(MIB)
        vcenter.stop()
        back = threading.Timer(0.2, vcenter.start)
        back.start()
        try:
            assert start + b"".join(opened) == DATA
        finally:
            back.join()
    driver.delete(location)


def test_nobody_listening_is_unavailable(vcenter: Simulator, driver: VmwareStore) -> None:
    location = put(driver)
    vcenter.stop()
    calls: list[Callable[[], object]] = [
        driver.check,
        driver.usage,
        lambda: put(driver),
        lambda: driver.open(location),
        lambda: driver.size(location),
        lambda: driver.delete(location),
        lambda: driver.discard("1"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable) as raised:
            call()
        assert "pass" not in str(raised.value)
    vcenter.start()
    driver.delete(location)


def test_a_frozen_server_is_unavailable(vcenter: Simulator, driver: VmwareStore) -> None:
    location = put(driver)
    vcenter.freeze()
    try:
        for call in (
            driver.check,
            lambda: driver.open(location),
            lambda: driver.delete(location),
        ):
            with pytest.raises(StoreUnavailable):
                call()
    finally:
        vcenter.thaw()
    # The server has heard of the deletion, and does it when it goes on.
    with suppress(BlobNotFound):
        driver.delete(location)


def test_a_server_that_freezes_midway_of_a_read(vcenter: Simulator, driver: VmwareStore) -> None:
    location = put(driver)
    with driver.open(location) as opened:
        opened.read(MIB)
        vcenter.freeze()
        try:
            with pytest.raises(StoreUnavailable):
                b"".join(opened)
        finally:
            vcenter.thaw()
    driver.delete(location)


def test_a_server_that_freezes_midway_of_a_write(
    vcenter: Simulator, driver: VmwareStore, files: Files
) -> None:
    image_id = str(uuid.uuid4())
    try:
        with pytest.raises(StoreUnavailable):
            driver.write(image_id, interrupted(vcenter.freeze), 16 * MIB)
    finally:
        vcenter.thaw()
    assert not any(path.name == image_id for path in files())
    driver.discard(image_id)


def test_who_stops_reading_does_not_wait_for_a_frozen_server(
    vcenter: Simulator, build: Build
) -> None:
    driver = build(vmware_idle_timeout=90.0)
    location = put(driver, 4 * DATA)
    opened = driver.open(location)
    for _ in range(3):
        opened.read(MIB)
    vcenter.freeze()
    try:
        begun = time.monotonic()
        opened.close()
        assert opened.read(1) == b""
        assert time.monotonic() - begun < 20
    finally:
        vcenter.thaw()
    driver.delete(location)


def test_a_source_that_breaks_does_not_wait_for_a_frozen_server(
    vcenter: Simulator, build: Build
) -> None:
    driver = build(vmware_call_timeout=1.0, vmware_idle_timeout=90.0)
    image_id = str(uuid.uuid4())

    def chunks() -> Iterator[bytes]:
        yield DATA[:MIB]
        vcenter.freeze()  # the connection is there by now
        raise RuntimeError("the source broke")

    try:
        begun = time.monotonic()
        with pytest.raises(RuntimeError, match="the source broke"):
            driver.write(image_id, IteratorStream(chunks()), None)
        assert time.monotonic() - begun < 20
    finally:
        vcenter.thaw()
    driver.discard(image_id)


def test_who_was_denied_does_not_try_again_at_once(vcenter: Simulator, build: Build) -> None:
    """An account that is tried too often is locked, for everybody."""
    driver = build(vmware_server_password="wrong")
    with pytest.raises(StoreDenied):
        driver.check()
    vcenter.stop()
    with pytest.raises(StoreDenied):
        driver.check()
    vcenter.start()


def test_those_who_wait_for_a_login_fail_with_it(vcenter: Simulator, build: Build) -> None:
    """With a server that hangs they would have to wait one after the other."""
    driver = build(vmware_call_timeout=3.0)
    vcenter.freeze()
    try:
        with ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(driver.check) for _ in range(20)]
            for each in asked:
                assert isinstance(each.exception(30), StoreUnavailable)
    finally:
        vcenter.thaw()
    driver.check()


# -- the way


def test_a_broken_read_goes_on_where_it_was(build: Build, way: FaultyWire) -> None:
    driver = build(vmware_server_host=way.address)
    location = put(driver)
    way.cut_back = 3 * MIB
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    way.cut_back = 3 * MIB
    with driver.open_range(location, 1000, 10 * MIB) as opened:
        assert b"".join(opened) == DATA[1000 : 10 * MIB + 1000]
    assert way.happened == 2
    driver.delete(location)


def test_what_replaced_a_file_is_not_given_out_as_its_rest(
    build: Build, way: FaultyWire, files: Files
) -> None:
    driver = build(vmware_server_host=way.address)
    location = put(driver)
    way.cut_back = 3 * MIB
    with driver.open(location) as opened:
        opened.read(1000)
        (path,) = files()
        os.utime(path, (0, 1_000_000_000))
        with pytest.raises(StoreFailed, match="replaced"):
            b"".join(opened)
    driver.delete(location)


@pytest.mark.parametrize("size", [16 * MIB, None])
def test_a_write_whose_connection_breaks_leaves_nothing(
    build: Build, way: FaultyWire, files: Files, size: int | None
) -> None:
    driver = build(vmware_server_host=way.address)

    def cut() -> None:
        way.cut_forth = 2 * MIB

    with pytest.raises(StoreUnavailable):
        driver.write(str(uuid.uuid4()), interrupted(cut), size)
    assert way.happened == 1
    assert files() == []


@pytest.mark.parametrize("call", ["MakeDirectory", "MoveDatastoreFile_Task"])
def test_a_write_during_which_an_answer_is_lost_is_one(
    vcenter: Simulator, driver: VmwareStore, call: str
) -> None:
    vcenter.lose_answer(call)
    location = put(driver)
    assert not (vcenter.folder / "lose").exists()
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA
    driver.delete(location)


def test_a_deletion_whose_answer_is_lost_is_one(vcenter: Simulator, driver: VmwareStore) -> None:
    location = put(driver)
    vcenter.lose_answer("DeleteDatastoreFile_Task")
    driver.delete(location)
    assert not (vcenter.folder / "lose").exists()


def test_what_is_no_vcenter_is_told(build: Build) -> None:
    """Whatever else has this port, here one that closes each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_hang_up, args=(listening,), daemon=True).start()
        driver = build(vmware_server_host=f"127.0.0.1:{listening.getsockname()[1]}")
        with pytest.raises(StoreUnavailable):
            driver.check()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)


def _hang_up(listening: socket.socket) -> None:
    with suppress(OSError):
        while True:
            listening.accept()[0].close()


def test_the_descriptors_are_given_back(driver: VmwareStore) -> None:
    location = put(driver)
    folder = Path("/proc/self/fd")
    before = len(list(folder.iterdir()))
    for _ in range(10):
        with driver.open(location) as opened:
            opened.read(10)
        with pytest.raises(RuntimeError):
            driver.write(str(uuid.uuid4()), interrupted(_break), None)
    assert len(list(folder.iterdir())) <= before + 2
    driver.delete(location)


def _break() -> None:
    raise RuntimeError("the source broke")


# -- a full datastore


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Simulator]:
    """A vCenter whose first datastore has 32 MiB."""
    wanted = missing()
    if wanted is not None:
        pytest.skip(wanted)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a full datastore is a small file system, which only root can mount")
    with Simulator(tmp_path) as simulator:
        folder = str(simulator.datastore())
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], check=True)
        try:
            yield simulator
        finally:
            simulator.stop()
            subprocess.run(["umount", folder], check=True)


def test_what_does_not_fit_is_refused_before_it_is_read(build: Build, small: Simulator) -> None:
    driver = build(**small.settings())

    def chunks() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with pytest.raises(StoreFull):
        driver.write(str(uuid.uuid4()), IteratorStream(chunks()), 33 * MIB)


@pytest.mark.parametrize("size", [30 * MIB, None])
def test_a_datastore_that_fills_up_is_full(
    build: Build, small: Simulator, size: int | None
) -> None:
    driver = build(**small.settings())
    other = small.datastore() / "other"

    def chunks() -> Iterator[bytes]:
        other.write_bytes(DATA)  # somebody else was quicker
        for _ in range(30):
            yield DATA[:MIB]

    with pytest.raises(StoreFull):
        driver.write(str(uuid.uuid4()), IteratorStream(chunks()), size)
    other.unlink()
    assert list((small.datastore() / "openstack_glance").iterdir()) == []
    location = put(driver)
    with driver.open(location) as opened:
        assert b"".join(opened) == DATA


def test_what_does_not_fit_into_one_datastore_goes_into_another(
    build: Build, small: Simulator
) -> None:
    heavy, light = (f"DC0:{name}" for name in DATASTORES)
    given: dict[str, Any] = small.settings() | {"vmware_datastores": [f"{heavy}:100", light]}
    driver = build(**given)
    assert f"dsName={DATASTORES[0]}" in put(driver, DATA[:MIB]).url
    assert f"dsName={DATASTORES[1]}" in put(driver, 2 * DATA + DATA[:MIB]).url


def test_what_comes_without_its_length_does_not_go_into_a_full_datastore(
    build: Build, small: Simulator
) -> None:
    heavy, light = (f"DC0:{name}" for name in DATASTORES)
    given: dict[str, Any] = small.settings() | {"vmware_datastores": [f"{heavy}:100", light]}
    driver = build(**given)

    def chosen() -> str:
        source = IteratorStream(iter([DATA[:MIB]]))
        return driver.write(str(uuid.uuid4()), source, None).url.partition("dsName=")[2]

    assert chosen().startswith(DATASTORES[0])
    (small.datastore() / "other").write_bytes(DATA)
    assert chosen().startswith(DATASTORES[1])


def test_errors_are_of_the_tree(build: Build) -> None:
    """Also where the host's name is nobody's."""
    driver = build(vmware_server_host="nobody.invalid")
    with pytest.raises(GlancekitError):
        driver.check()
