# SPDX-License-Identifier: Apache-2.0
"""What is the RBD store's own: locations, holes, what the dead leave, clones of both formats."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from glancekit_rbd_store import removing
from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.driver import RbdStore
from glancekit_rbd_store.testing import Cluster, objects_of_images

from glancekit.plugin import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    ConfigError,
    FileStream,
    Location,
    Remnant,
    StoreDenied,
    StoreUnavailable,
)
from glancekit.testing.faults import WatchedStream
from glancekit.testing.store import Blobs
from glancekit.testing.waiting import wait_until

MIB = 1 << 20
DATA = bytes(range(256)) * 4096 * 3

MakeStore = Callable[..., RbdStore]

pytestmark = pytest.mark.usefixtures("an_empty_pool")


def put(store: RbdStore, data: bytes = DATA, image_id: str | None = None) -> Location:
    return Blobs(store).write(data, image_id=image_id)


def remnants(store: RbdStore, age: float) -> list[Remnant]:
    return [found for found in store.remnants(age) if found is not None]


def name_of(location: Location) -> str:
    return location.url.split("/")[-2]


def stored(pool: Any, image: str) -> int:
    """Return how many bytes of objects an image has."""
    rbd = bindings().rbd
    with rbd.Image(pool, image, read_only=True) as opened:
        prefix = opened.stat()["block_name_prefix"]
    return sum(pool.stat(each.key)[0] for each in pool.list_objects() if prefix in each.key)


def is_frozen(pool: Any, image: str) -> bool:
    with bindings().rbd.Image(pool, image, read_only=True) as opened:
        return bool(opened.is_protected_snap("snap"))


# -- locations and options


def test_a_location_is_byte_for_byte_upstream_s(store: RbdStore, ceph: Cluster, pool: Any) -> None:
    image_id = str(uuid.uuid4())
    location = put(store, image_id=image_id)
    assert location.url == f"rbd://{ceph.fsid}/images/{image_id}/snap"
    assert is_frozen(pool, image_id)
    assert store.direct_url(location, 60) == location.url


def test_images_that_others_wrote_are_read(store: RbdStore, ceph: Cluster, pool: Any) -> None:
    rbd = bindings().rbd
    rbd.RBD().create(pool, "an old/name", 2 * MIB, 20)
    with rbd.Image(pool, "an old/name") as image:
        image.write(b"abc", MIB - 1)
        image.create_snap("my snap")
    for url in (f"rbd://{ceph.fsid}/images/an%20old%2Fname/my%20snap", "rbd://an%20old%2Fname"):
        location = Location(url=url)
        assert store.direct_url(location, 60) == url
        assert store.size(location) == 2 * MIB
        with store.open_range(location, MIB - 1, 3) as opened:
            assert opened.read(10) == b"a"  # objects end here
            assert b"".join(opened) == b"bc"


@pytest.mark.parametrize(
    "url",
    [
        "rbd://",
        "rbd://a/b",
        "rbd://a/b/c",
        "rbd://{fsid}/images//snap",
        "rbd://{fsid}/images/a/snap/more",
        "rbd://{fsid}/images/\u00e4/snap",
        "file:///etc/passwd",
        "rbd://00000000-0000-0000-0000-000000000000/images/a/snap",
    ],
)
def test_other_urls_are_refused(store: RbdStore, ceph: Cluster, url: str) -> None:
    location = Location(url=url.format(fsid=ceph.fsid))
    for call in (store.open, store.size, store.delete):
        with pytest.raises(StoreDenied):
            call(location)


@pytest.mark.parametrize("given", [{"rbd_store_chunk_size": 3}, {"rbd_store_pool": ""}])
def test_options_that_make_no_sense(make_store: MakeStore, given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make_store(**given)


@pytest.mark.parametrize(
    "conf",
    [
        "[global]\nfsid = {fsid}\n",
        "[global]\nmon_host = {second} , {first}  ; the monitors\n[osd]\nosd data = /x\n",
        "[global]\n  mon-host={first},{second}\n",
    ],
)
def test_a_pool_is_one_place_by_whatever_file_it_is_found(
    make_store: MakeStore, tmp_path: Path, conf: str
) -> None:
    facts = {"fsid": str(uuid.uuid4()), "first": "10.0.0.1", "second": "[v2:10.0.0.2:3300/0]"}
    known, another, elsewhere = (tmp_path / name for name in ("known", "another", "elsewhere"))
    text = "[global]\nfsid = {fsid}\nmon host = {first},{second}\n"
    known.write_text(text.format(**facts))
    another.write_text(conf.format(**facts))
    elsewhere.write_text(f"[global]\nfsid = {uuid.uuid4()}\nmon host = 10.0.0.1\n")

    def places(conf: Path, pool: str = "images") -> set[str]:
        return {*make_store(rbd_store_ceph_conf=str(conf), rbd_store_pool=pool).places()}

    assert places(known) & places(another)
    assert not places(known) & places(another, "volumes")
    assert not places(known) & places(elsewhere)
    assert places(tmp_path / "not there yet") == {f"rbd:{tmp_path}/not there yet/images"}


@pytest.mark.parametrize("data_pool", [None, "data"])
def test_the_room_is_what_the_manager_has_counted(
    make_store: MakeStore, ceph: Cluster, data_pool: str | None
) -> None:
    ceph.start_manager()
    store = make_store(rbd_store_data_pool=data_pool)

    def stored() -> int:
        usage = store.usage()
        return (usage.total or 0) - (usage.free or 0)

    put(store)
    wait_until(lambda: len(DATA) <= stored() < 2 * len(DATA))
    usage = store.usage()
    assert usage.free and usage.total
    assert 2 << 30 < usage.free < usage.total <= 4 << 30


def test_a_data_pool_that_is_not_there_is_named(make_store: MakeStore) -> None:
    store = make_store(rbd_store_data_pool="nowhere")
    for call in (store.check, lambda: put(store)):
        with pytest.raises(StoreUnavailable, match="pool nowhere"):
            call()


def test_without_the_bindings_the_packages_are_named(
    store: RbdStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rbd", None)
    bindings.cache_clear()
    try:
        with pytest.raises(ConfigError, match="python3-rbd"):
            store.check()
    finally:
        bindings.cache_clear()


def test_an_image_without_its_snapshot_is_no_blob(store: RbdStore, pool: Any) -> None:
    image_id = str(uuid.uuid4())
    bindings().rbd.RBD().create(pool, image_id, 1 << 20)
    try:
        (listed,) = (blob for blob in store.contents() if blob.image_id == image_id)
        with pytest.raises(BlobNotFound):
            store.blob(Location(url=listed.url))
    finally:
        bindings().rbd.RBD().remove(pool, image_id)


# -- bytes


def test_zeros_are_left_out_when_thin(make_store: MakeStore, pool: Any) -> None:
    data = bytes(9 * MIB) + b"x" * 100_000 + bytes(30 * MIB) + b"y" + bytes(9 * MIB)
    thin = put(make_store(rbd_thin_provisioning=True), data)
    thick = put(make_store(), data)
    store = make_store()
    assert Blobs(store).read(thin) == Blobs(store).read(thick) == data
    assert stored(pool, name_of(thin)) < 9 * MIB  # two objects, each up to its last byte
    assert stored(pool, name_of(thick)) == len(data)


@pytest.mark.parametrize("size", [1, 8 * MIB, 8 * MIB + 1, 40 * MIB])
def test_an_image_of_unknown_size_grows_and_is_cut(store: RbdStore, pool: Any, size: int) -> None:
    data = (DATA * (size // len(DATA) + 1))[:size]
    location = store.write(str(uuid.uuid4()), FileStream(io.BytesIO(data)), None)
    assert store.size(location) == size
    assert Blobs(store).read(location) == data


def test_while_it_is_written_it_has_another_name(store: RbdStore, pool: Any) -> None:
    image_id, seen = str(uuid.uuid4()), []
    rbd = bindings().rbd

    def look(given: int) -> None:
        seen.extend(rbd.RBD().list(pool))

    store.write(image_id, WatchedStream(FileStream(io.BytesIO(DATA)), look), len(DATA))
    assert seen
    assert all(name.startswith(f"{image_id}.writing.") for name in seen)
    assert rbd.RBD().list(pool) == [image_id]


def test_a_dead_writer_s_image_is_found(store: RbdStore, pool: Any) -> None:
    image_id, rbd = str(uuid.uuid4()), bindings().rbd
    rbd.RBD().create(pool, f"{image_id}.writing.0123456789ab", MIB)
    pool.write(f"glancekit_claim.{image_id}", b"")  # it died while it gave the image its name
    with pytest.raises(BlobExists):
        put(store, image_id=image_id)
    store.discard(image_id)
    assert rbd.RBD().list(pool) == []
    assert Blobs(store).read(put(store, image_id=image_id)) == DATA


def test_bytes_go_to_the_data_pool(make_store: MakeStore, ceph: Cluster, pool: Any) -> None:
    location = put(make_store(rbd_store_data_pool="data"))
    assert stored(pool, name_of(location)) == 0
    data_pool = ceph.client("glance").open_ioctx("data")
    with data_pool, bindings().rbd.Image(pool, name_of(location), read_only=True) as image:
        assert image.data_pool_id() == data_pool.get_pool_id()


def test_an_image_deleted_under_its_reader_is_no_zeros(store: RbdStore) -> None:
    data = DATA * 14  # more than is read ahead
    location = put(store, data)
    with store.open(location) as opened:
        got = opened.read(MIB)
        store.delete(location)
        with pytest.raises(BlobNotFound):
            while chunk := opened.read(MIB):
                got += chunk
    assert got == data[: len(got)]


OFTEN = """
import sys
from types import SimpleNamespace
from glancekit_rbd_store.driver import RbdStore
from glancekit.plugin import Location

settings = {option.name: option.default for option in RbdStore.options}
settings |= {"rbd_store_ceph_conf": sys.argv[1], "rbd_store_user": "glance"}
store = RbdStore(SimpleNamespace(**settings), name="rbd")
for _ in range(12):
    with store.open(Location(url=sys.argv[2])) as opened:
        assert sum(map(len, opened)) == 22 << 20
store.close()
"""


def test_images_of_upstream_are_opened_and_closed_often(ceph: Cluster, pool: Any) -> None:
    """They have an object map, and at each piece of zeros it is looked whether they are still
    there. In a process of its own, because what went wrong here ended the process."""
    rbd = bindings().rbd
    rbd.RBD().create(pool, "theirs", 22 * MIB, 23, old_format=False, features=61)
    with rbd.Image(pool, "theirs") as image:
        image.write(b"data" + bytes(21 * MIB) + b"data", 0)
        image.create_snap("snap")
        image.protect_snap("snap")
    url = f"rbd://{ceph.fsid}/images/theirs/snap"
    done = subprocess.run(
        [sys.executable, "-c", OFTEN, str(ceph.conf), url],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr


def test_a_stream_that_failed_fails_again(
    store: RbdStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not go on with what comes after the piece that it could not give."""
    location = put(store, bytes(40 * MIB))

    def look_in_vain() -> None:
        monkeypatch.undo()
        raise BlobNotFound

    with store.open(location) as opened:
        opened.read(MIB)
        monkeypatch.setattr(opened, "_look", look_in_vain)
        for _ in range(2):
            with pytest.raises(BlobNotFound):
                b"".join(opened)


# -- what the dead leave


class Death(BaseException):
    """Whoever does this does nothing after it."""


def half_deleted(
    store: RbdStore, location: Location, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Begin to delete an image, and die before a step."""

    def die(*_: object) -> None:
        raise Death

    with monkeypatch.context() as patch:
        patch.setattr(f"glancekit_rbd_store.removing.{step}", die)
        with pytest.raises(Death):
            store.delete(location)


@pytest.mark.parametrize("step", ["_to_trash", "purge"])
def test_who_dies_over_a_deletion_leaves_what_is_found(
    store: RbdStore, pool: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    location = put(store)
    half_deleted(store, location, monkeypatch, step)
    with suppress(BlobNotFound):  # the service tries again
        store.delete(location)
    for remnant in remnants(store, 3600):
        assert remnant.image_id == name_of(location)
        store.sweep(remnant)
    assert objects_of_images(pool) == []


@pytest.mark.parametrize("cloned", [False, True])
def test_two_that_delete_at_once_leave_what_is_found(
    store: RbdStore,
    ceph: Cluster,
    pool: Any,
    monkeypatch: pytest.MonkeyPatch,
    cloned: bool,
) -> None:
    """The second is turned away by the first one's handle, and makes the image good."""
    location, rbd, to_trash = put(store), bindings().rbd, removing._to_trash

    def meanwhile(pool: Any, name: str, snapshot: str) -> None:
        with rbd.Image(pool, name) as image:
            removing._reprieve(image, snapshot)
        if cloned:
            clone(ceph, location)
        to_trash(pool, name, snapshot)

    monkeypatch.setattr(removing, "_to_trash", meanwhile)
    store.delete(location)
    if cloned:
        assert remnants(store, 0) == []
        with ceph.client("cinder").open_ioctx("volumes") as volumes:
            rbd.RBD().remove(volumes, "volume")
        (remnant,) = remnants(store, 0)
        store.sweep(remnant)
    assert objects_of_images(pool) == []


def begin_to_delete(pool: Any, location: Location) -> str:
    """Do what a removal does before anything goes, and return the image's id."""
    with bindings().rbd.Image(pool, name_of(location)) as image:
        image.metadata_set("glancekit_deleted", "yes")
        image.unprotect_snap("snap")
        image.remove_snap("snap")
        return str(image.id())


@pytest.mark.parametrize("part", ["rbd_id.{name}", "rbd_header.{id}"])
def test_half_an_image_is_removed(store: RbdStore, pool: Any, part: str) -> None:
    """A deletion that ended midway has taken its name, one half made has no header yet."""
    location, rbd = put(store), bindings().rbd
    image_id = begin_to_delete(pool, location)
    if "header" in part:
        with rbd.Image(pool, name_of(location)) as image:
            image.resize(0)
    pool.remove_object(part.format(name=name_of(location), id=image_id))
    store.delete(location)
    assert rbd.RBD().list(pool) == []
    with pytest.raises(BlobNotFound):
        store.delete(location)
    for remnant in remnants(store, 0):
        store.sweep(remnant)
    assert objects_of_images(pool) == []


def test_an_unfinished_image_that_is_a_mere_name_is_swept(store: RbdStore, pool: Any) -> None:
    name, rbd = f"{uuid.uuid4()}.writing.0123456789ab", bindings().rbd
    rbd.RBD().create(pool, name, MIB)
    with rbd.Image(pool, name) as image:
        header = f"rbd_header.{image.id()}"
    pool.remove_object(header)
    (remnant,) = remnants(store, 3600)
    store.sweep(remnant)
    assert remnants(store, 0) == rbd.RBD().list(pool) == []


def test_what_was_not_moved_to_its_end_is_removed(store: RbdStore, pool: Any) -> None:
    location, rbd = put(store), bindings().rbd
    image_id = begin_to_delete(pool, location)
    rbd.RBD().trash_move(pool, name_of(location), 0)
    in_trash(pool, image_id, -1, 1)  # its state: still on its way
    (remnant,) = remnants(store, 0)
    store.sweep(remnant)
    assert remnants(store, 0) == objects_of_images(pool) == []


def test_each_image_that_is_looked_at_is_a_step(store: RbdStore, pool: Any) -> None:
    """Of many, all together take longer than the service waits for an answer."""
    rbd = bindings().rbd
    for name in ("an operator's", "another", f"{uuid.uuid4()}.writing.0123456789ab"):
        rbd.RBD().create(pool, name, MIB)
    for name in ("an operator's", "another"):
        rbd.RBD().trash_move(pool, name, 0)
    try:
        assert list(store.remnants(3600)) == [None] * 3
    finally:
        for entry in list(rbd.RBD().trash_list(pool)):
            rbd.RBD().trash_remove(pool, entry["id"])


def test_others_images_on_the_move_do_not_hide_ours(store: RbdStore, pool: Any) -> None:
    rbd = bindings().rbd
    rbd.RBD().create(pool, "migrating", MIB)
    with rbd.Image(pool, "migrating") as image:
        image_id = image.id()
    rbd.RBD().trash_move(pool, "migrating", 0)
    in_trash(pool, image_id, 6, 2)  # its source: a migration
    try:
        assert remnants(store, 0) == []
    finally:
        in_trash(pool, image_id, 6, 0)
        rbd.RBD().trash_remove(pool, image_id)


@contextmanager
def damaged(pool: Any, image_id: str) -> Iterator[None]:
    """Have an image that librbd cannot open."""
    header, rados = f"rbd_header.{image_id}", bindings().rados
    with rados.ReadOpCtx() as operation:
        found, _ = pool.get_omap_vals(operation, "", "size", 1)
        pool.operate_read_op(operation, header)
        known = dict(found)["size"]

    def say(size: bytes) -> None:
        with rados.WriteOpCtx() as change:
            pool.set_omap(change, ("size",), (size,))
            pool.operate_write_op(change, header)

    say(b"?")
    yield
    say(known)


def test_a_damaged_image_does_not_hide_others(store: RbdStore, pool: Any) -> None:
    """Be it in the trash, whoever put it there, or unfinished."""
    rbd, location = bindings().rbd, put(store)
    mine = begin_to_delete(pool, location)
    rbd.RBD().trash_move(pool, name_of(location), 0)
    unfinished = f"{uuid.uuid4()}.writing.0123456789ab"
    for name in ("an operator's", unfinished):
        rbd.RBD().create(pool, name, MIB)
    with rbd.Image(pool, "an operator's") as image:
        theirs = image.id()
    with rbd.Image(pool, unfinished) as image:
        begun = image.id()
    rbd.RBD().trash_move(pool, "an operator's", 0)
    with damaged(pool, theirs), damaged(pool, begun):
        for remnant in remnants(store, 1):
            assert remnant.image_id == name_of(location)
            store.sweep(remnant)
        assert [each["id"] for each in rbd.RBD().trash_list(pool)] == [theirs]
    rbd.RBD().trash_remove(pool, theirs)
    assert mine not in "".join(objects_of_images(pool))


def test_a_damaged_image_in_the_trash_is_no_mere_name(store: RbdStore, pool: Any) -> None:
    """To librbd it is not there; and it may be somebody else's, whatever it was called."""
    name, rbd, rados = str(uuid.uuid4()), bindings().rbd, bindings().rados
    rbd.RBD().create(pool, name, MIB)
    with rbd.Image(pool, name) as image:
        image_id = image.id()
    rbd.RBD().trash_move(pool, name, 0)
    with rados.WriteOpCtx() as change:
        pool.remove_omap_keys(change, ("size",))
        pool.operate_write_op(change, f"rbd_header.{image_id}")
    try:
        assert remnants(store, 0) == []
    finally:
        rbd.RBD().trash_remove(pool, image_id)


def in_trash(pool: Any, image_id: str, at: int, value: int) -> None:
    """Change a byte of what the trash knows of an image."""
    rados, key = bindings().rados, f"id_{image_id}"
    with rados.ReadOpCtx() as operation:
        found, _ = pool.get_omap_vals(operation, "", key, 1)
        pool.operate_read_op(operation, "rbd_trash")
        known = bytearray(dict(found)[key])
    known[at] = value
    with rados.WriteOpCtx() as change:
        pool.set_omap(change, (key,), (bytes(known),))
        pool.operate_write_op(change, "rbd_trash")


def test_a_name_of_nothing_is_given_away_again(store: RbdStore, pool: Any) -> None:
    """Who dies while giving an image its name may leave it with both, or the new one with none."""
    image_id, rbd = str(uuid.uuid4()), bindings().rbd
    rbd.RBD().create(pool, f"{image_id}.writing.0123456789ab", MIB)
    known = pool.read(f"rbd_id.{image_id}.writing.0123456789ab")
    pool.write_full(f"rbd_id.{image_id}", known)
    store.discard(image_id)
    assert Blobs(store).read(put(store, image_id=image_id)) == DATA


@pytest.mark.parametrize("step", ["_to_trash", "unprotected"])
def test_an_image_in_use_is_whole_after_half_a_deletion(
    store: RbdStore, pool: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    location = put(store)
    if step == "_to_trash":
        half_deleted(store, location, monkeypatch, step)
    else:
        with bindings().rbd.Image(pool, name_of(location)) as image:
            image.metadata_set("glancekit_deleted", "yes")
            image.unprotect_snap("snap")
    with bindings().rbd.Image(pool, name_of(location)), pytest.raises(BlobInUse):
        store.delete(location)
    assert is_frozen(pool, name_of(location))
    assert Blobs(store).read(location) == DATA
    store.delete(location)
    assert objects_of_images(pool) == []


# -- deleting what is in use


def test_a_snapshot_may_have_another_name(store: RbdStore, ceph: Cluster, pool: Any) -> None:
    """As the location says, which somebody registered."""
    rbd = bindings().rbd
    rbd.RBD().create(pool, "theirs", MIB)
    with rbd.Image(pool, "theirs") as image:
        image.create_snap("mine")
        image.protect_snap("mine")
    store.delete(Location(url=f"rbd://{ceph.fsid}/images/theirs/mine"))
    assert rbd.RBD().list(pool) == []


def test_a_clone_is_as_plain_as_other_images(store: RbdStore, ceph: Cluster, pool: Any) -> None:
    """Also of an image of upstream's, which has more features."""
    rbd = bindings().rbd
    rbd.RBD().create(pool, "theirs", MIB, old_format=False, features=61)
    with rbd.Image(pool, "theirs") as image:
        image.create_snap("snap")
        image.protect_snap("snap")
    url = f"rbd://{ceph.fsid}/images/theirs/snap"
    clone = store.clone(Location(url=url), str(uuid.uuid4()))
    with rbd.Image(pool, name_of(clone), read_only=True) as image:
        assert image.features() == rbd.RBD_FEATURE_LAYERING
    store.delete(clone)


def clone(ceph: Cluster, location: Location) -> None:
    """Make a volume of an image, as cinder does."""
    cinder = ceph.client("cinder")
    with cinder.open_ioctx("images") as images, cinder.open_ioctx("volumes") as volumes:
        bindings().rbd.RBD().clone(images, name_of(location), "snap", volumes, "volume")


def test_a_clone_of_the_old_format_holds_the_image(store: RbdStore, ceph: Cluster) -> None:
    location = put(store)
    clone(ceph, location)
    with pytest.raises(BlobInUse):
        store.delete(location)
    assert Blobs(store).read(location) == DATA
    with ceph.client("cinder").open_ioctx("volumes") as volumes:
        bindings().rbd.RBD().remove(volumes, "volume")
    store.delete(location)
    with pytest.raises(BlobNotFound):
        store.size(location)


@pytest.fixture
def new_clones(ceph: Cluster) -> Iterator[None]:
    ceph.command("osd set-require-min-compat-client", version="mimic")
    ceph.disconnect()  # a client decides on the format when it connects
    yield
    ceph.command("osd set-require-min-compat-client", version="jewel", yes_i_really_mean_it=True)
    ceph.disconnect()


@pytest.mark.parametrize("ending", ["removed", "flattened"])
def test_the_last_clone_of_the_new_format_frees_the_room(
    new_clones: None, make_store: MakeStore, ceph: Cluster, ending: str
) -> None:
    rbd, store = bindings().rbd, make_store()
    location = put(store)
    clone(ceph, location)
    store.delete(location)
    with pytest.raises(BlobNotFound):
        store.open(location)
    images = ceph.client("glance").open_ioctx("images")
    volumes = ceph.client("cinder").open_ioctx("volumes")
    assert remnants(store, 0) == []
    assert [each["name"] for each in rbd.RBD().trash_list(images)] == [name_of(location)]
    with rbd.Image(volumes, "volume") as volume:
        assert volume.read(0, len(DATA)) == DATA
        if ending == "flattened":
            volume.flatten()
    if ending == "removed":
        rbd.RBD().remove(volumes, "volume")
    (remnant,) = remnants(store, 3600)
    assert remnant.image_id == name_of(location)
    for _ in range(2):
        store.sweep(remnant)
    assert list(rbd.RBD().trash_list(images)) == []
    assert not [each.key for each in images.list_objects() if "rbd_data" in each.key]
    images.close()
    volumes.close()


def test_others_trash_is_left_alone(store: RbdStore, pool: Any) -> None:
    rbd = bindings().rbd
    rbd.RBD().create(pool, "an operator's", MIB)
    rbd.RBD().trash_move(pool, "an operator's", 0)
    assert remnants(store, 0) == []
    (entry,) = rbd.RBD().trash_list(pool)
    rbd.RBD().trash_remove(pool, entry["id"])


@pytest.fixture
def mirrored(ceph: Cluster) -> Iterator[Any]:
    """The pool of the images, which another cluster may mirror."""
    rbd = bindings().rbd
    with ceph.client("admin").open_ioctx("images") as ioctx:
        rbd.RBD().mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
        way = rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX
        peer = rbd.RBD().mirror_peer_add(ioctx, "another", "client.admin", way)
        yield ioctx
        rbd.RBD().mirror_peer_remove(ioctx, peer)
        rbd.RBD().mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_DISABLED)


def test_an_image_that_is_mirrored_by_snapshots_is_deleted(
    store: RbdStore, pool: Any, mirrored: Any
) -> None:
    location, rbd = put(store), bindings().rbd
    with rbd.Image(mirrored, name_of(location)) as image:
        image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)
        image.mirror_image_create_snapshot()
    store.delete(location)
    assert objects_of_images(pool) == remnants(store, 0) == []


@pytest.mark.parametrize("holder", ["a snapshot", "a handle"])
def test_what_somebody_holds_is_not_touched(store: RbdStore, pool: Any, holder: str) -> None:
    location = put(store)
    with bindings().rbd.Image(pool, name_of(location)) as image:
        if holder == "a snapshot":
            image.create_snap("mine")
            image.close()
        with pytest.raises(BlobInUse):
            store.delete(location)
    assert is_frozen(pool, name_of(location))
    assert Blobs(store).read(location) == DATA
