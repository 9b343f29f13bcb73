# SPDX-License-Identifier: Apache-2.0
"""Uploads and downloads through the use cases, and each way in which they can fail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from glancekit.core.errors import (
    BlobExists,
    BlobNotFound,
    BodyCutShort,
    Conflict,
    Forbidden,
    GlancekitError,
    ImageGone,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataUnavailable,
    RangeUnsatisfiable,
    SizeMismatch,
    StatusConflict,
    StoreFailed,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from glancekit.core.model.changes import ByteRange, NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.services import data, images, recovery
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.faults import BrokenStream, FaultyStore, WatchedStream
from glancekit.testing.memory_store import MemoryStore


def stream(content: bytes = b"data") -> ByteStream:
    return IteratorStream(iter([content]))


def upload(
    world: World, caller: Identity, image: Image, source: ByteStream | None = None
) -> Image:
    return data.upload(world, caller, image.id, source or stream(), size=None, store=None)


def assert_as_before(world: World, store: FaultyStore, caller: Identity, image: Image) -> None:
    """The image waits for its bytes, and nothing of any upload is left."""
    now = images.show(world, caller, image.id)
    assert (now.status, now.size, now.checksum) == ("queued", None, None)
    with world.metadata.unit_of_work(read_only=True) as work:
        assert work.locations.of_image(image.id) == []
    assert store.usage().free == FaultyStore().usage().free


def test_an_upload_makes_an_active_image_with_digests(
    world: World, member: Identity, queued: Image
) -> None:
    active = upload(world, member, queued)
    assert active.is_active
    assert (active.size, active.virtual_size) == (4, 4)
    assert active.checksum == hashlib.md5(b"data").hexdigest()
    assert active.os_hash_value == hashlib.sha512(b"data").hexdigest()
    assert [location.store for location in active.locations] == ["fast"]


def test_the_store_can_be_chosen(
    world: World, second: MemoryStore, member: Identity, queued: Image
) -> None:
    active = data.upload(world, member, queued.id, stream(), size=4, store="slow")
    assert [location.store for location in active.locations] == ["slow"]
    with pytest.raises(Invalid, match="the stores are"):
        data.upload(world, member, queued.id, stream(), size=4, store="nowhere")


def test_a_read_only_store_takes_nothing(
    world: World, second: MemoryStore, member: Identity, queued: Image
) -> None:
    closed = Stores([Store("slow", second, read_only=True)], "slow")
    with pytest.raises(StoreReadOnly):
        upload(replace(world, stores=closed), member, queued)
    assert images.show(world, member, queued.id).status is ImageStatus.QUEUED


def test_an_upload_needs_formats_a_queued_image_and_the_right(
    world: World, member: Identity, reader: Identity, stranger: Identity, queued: Image
) -> None:
    bare = images.create(world, member, NewImage())
    with pytest.raises(Invalid, match="disk_format"):
        upload(world, member, bare)
    with pytest.raises(Forbidden):
        upload(world, reader, queued)
    with pytest.raises(ImageNotFound):
        upload(world, stranger, queued)
    upload(world, member, queued)
    with pytest.raises(StatusConflict):
        upload(world, member, queued)


@pytest.mark.parametrize(
    ("source", "size", "error"),
    [
        (BrokenStream(b"x" * 99, at=50, error=BodyCutShort(received=50)), 99, BodyCutShort),
        (IteratorStream(iter([b"data"])), 5, SizeMismatch),
        (IteratorStream(iter([b"data"])), 3, SizeMismatch),
        (IteratorStream(iter([b"x" * (1 << 20), b"x"])), None, LimitExceeded),
        (IteratorStream(iter([])), (1 << 20) + 1, LimitExceeded),
        (BrokenStream(b"x" * 99, at=50, error=RuntimeError("odd")), None, RuntimeError),
        (BrokenStream(b"x" * 99, at=50, error=KeyboardInterrupt()), None, KeyboardInterrupt),
    ],
)  # fmt: skip
def test_bad_bytes_leave_everything_as_before(
    world: World,
    store: FaultyStore,
    member: Identity,
    queued: Image,
    source: ByteStream,
    size: int | None,
    error: type[BaseException],
) -> None:
    with pytest.raises(error):
        data.upload(world, member, queued.id, source, size=size, store=None)
    assert_as_before(world, store, member, queued)
    assert upload(world, member, queued).is_active


@pytest.mark.parametrize("error", [StoreFull(), StoreUnavailable("away"), OSError("disk")])
def test_a_failing_store_leaves_everything_as_before(
    world: World, store: FaultyStore, member: Identity, queued: Image, error: Exception
) -> None:
    store.fail("write", error)
    expected = type(error) if isinstance(error, GlancekitError) else StoreFailed
    with pytest.raises(expected):
        upload(world, member, queued)
    store.heal()
    assert_as_before(world, store, member, queued)


@pytest.mark.parametrize(
    ("disk_format", "body", "size", "error"),
    [
        ("raw", b"data", None, BlobExists),
        ("raw", b"data", 0, SizeMismatch),  # both before the store is asked
        ("qcow2", b"", 0, Invalid),
    ],
)
def test_what_has_the_name_already_stays(
    world: World,
    store: FaultyStore,
    member: Identity,
    disk_format: str,
    body: bytes,
    size: int | None,
    error: type[Exception],
) -> None:
    """An id is the caller's to choose, and the store may be another service's, too."""
    asked = NewImage(disk_format=disk_format, container_format="bare")
    queued = images.create(world, member, asked)
    store.blobs[queued.id] = b"another's"
    with pytest.raises(error):
        data.upload(world, member, queued.id, stream(body), size=size, store=None)
    assert store.blobs[queued.id] == b"another's"
    assert images.show(world, member, queued.id).status is ImageStatus.QUEUED
    with world.metadata.unit_of_work(read_only=True) as work:
        assert work.locations.of_image(queued.id) == []
    recover(world)
    assert store.blobs[queued.id] == b"another's"


def test_what_a_store_cannot_discard_now_is_discarded_later(
    world: World, store: FaultyStore, member: Identity, queued: Image
) -> None:
    store.fail("write", StoreFull())
    store.fail("discard", StoreUnavailable("away"))
    with pytest.raises(StoreFull):
        upload(world, member, queued)
    assert images.show(world, member, queued.id).status is ImageStatus.QUEUED
    store.heal()
    with pytest.raises(Conflict):
        upload(world, member, queued)  # the leftovers go first
    recover(world)
    assert_as_before(world, store, member, queued)
    assert upload(world, member, queued).is_active


def test_an_image_deleted_during_its_upload_takes_its_bytes_along(
    world: World, store: FaultyStore, member: Identity, queued: Image
) -> None:
    def delete_at_once(_position: int) -> None:
        with world.metadata.unit_of_work(read_only=True) as work:
            alive = [row.status for row in work.locations.of_image(queued.id)]
        if alive and not gone:
            gone.append(queued.id)
            images.delete(world, member, queued.id)

    gone: list[str] = []
    with pytest.raises(ImageGone):
        upload(world, member, queued, WatchedStream(stream(), delete_at_once))
    with world.metadata.unit_of_work(read_only=True) as work:
        assert work.locations.of_image(queued.id) == []
    assert store.usage().free == FaultyStore().usage().free


def test_an_upload_that_was_given_up_publishes_nothing(
    world: World, store: FaultyStore, member: Identity, queued: Image
) -> None:
    """A process that stood still for longer than its lease finds its row taken away."""

    def reaped(_position: int) -> None:
        if gone:
            return
        gone.append("row")
        with world.metadata.unit_of_work() as work:
            work.leases.release(world.lease.holder)
            work.commit()
        recover(world)

    gone: list[str] = []
    with pytest.raises(Conflict, match="took too long"):
        upload(world, member, queued, WatchedStream(stream(), reaped))
    assert_as_before(world, store, member, queued)


def test_an_upload_that_ends_while_the_reaper_is_at_others_keeps_its_bytes(
    world: World, store: FaultyStore, member: Identity, queued: Image
) -> None:
    """It was taken for dead when the reaper looked, and had ended well when its turn came."""
    seen: list[Location] = []

    def looked_at(_position: int) -> None:
        if not seen:
            with world.metadata.unit_of_work(read_only=True) as work:
                seen.extend(work.locations.of_image(queued.id))

    assert upload(world, member, queued, WatchedStream(stream(), looked_at)).is_active
    assert [row.status for row in seen] == [LocationStatus.WRITING]
    assert not recovery._undo_write(world, seen[0])
    assert store.blobs[queued.id] == b"data"
    assert images.show(world, member, queued.id).is_active


def test_a_database_that_fails_at_the_end_is_waited_for(
    world: World, store: FaultyStore, member: Identity, queued: Image
) -> None:
    failing = _FailingMetadata(world)
    with pytest.raises(MetadataUnavailable):
        upload(replace(world, metadata=failing), member, queued, failing.from_now_on(stream()))  # type: ignore[arg-type]
    assert images.show(world, member, queued.id).status is ImageStatus.SAVING
    failing.is_down = False
    world.lease._do_chores()
    assert_as_before(world, store, member, queued)


class _FailingMetadata:
    """The real driver, which a switch makes unavailable."""

    def __init__(self, world: World) -> None:
        self._real = world.metadata
        self.is_down = False

    def from_now_on(self, source: ByteStream) -> ByteStream:
        def fail(_position: int) -> None:
            self.is_down = True

        return WatchedStream(source, fail)

    def unit_of_work(self, *, read_only: bool = False) -> object:
        if self.is_down:
            raise MetadataUnavailable("down")
        return self._real.unit_of_work(read_only=read_only)


def read(download: data.Download) -> bytes:
    assert download.stream is not None
    with download.stream as source:
        return source.read()


def test_a_download_gives_the_bytes_and_any_range_of_them(
    world: World, member: Identity, active: Image
) -> None:
    assert read(data.download(world, member, active.id, None)) == b"data"
    part = data.download(world, member, active.id, ByteRange(1, 2))
    assert (read(part), part.offset, part.length, part.total) == (b"at", 1, 2, 4)
    assert read(data.download(world, member, active.id, ByteRange(None, 3))) == b"ata"
    assert read(data.download(world, member, active.id, ByteRange(2, None))) == b"ta"
    assert read(data.download(world, member, active.id, ByteRange(2, 99))) == b"ta"
    with pytest.raises(RangeUnsatisfiable):
        data.download(world, member, active.id, ByteRange(4, None))


def test_an_image_without_bytes_has_none(world: World, member: Identity, queued: Image) -> None:
    assert not data.download(world, member, queued.id, None).has_data


def test_who_may_download(
    world: World,
    member: Identity,
    reader: Identity,
    stranger: Identity,
    admin: Identity,
    active: Image,
) -> None:
    with pytest.raises(Forbidden):
        data.download(world, reader, active.id, None)
    with pytest.raises(ImageNotFound):
        data.download(world, stranger, active.id, None)
    with world.metadata.unit_of_work() as work:
        off = replace(active, status=ImageStatus.DEACTIVATED)
        work.images.save(off, expect_status={ImageStatus.ACTIVE})
        work.commit()
    with pytest.raises(Forbidden):
        data.download(world, member, active.id, None)
    assert read(data.download(world, admin, active.id, None)) == b"data"


@pytest.fixture
def twice(world: World, second: MemoryStore, active: Image) -> Image:
    """The active image with a second copy, in the store of less weight."""
    copy = second.write(active.id, stream(), 4)
    with world.metadata.unit_of_work() as work:
        work.locations.add(replace(copy, store="slow", image_id=active.id))
        work.commit()
        return active


@pytest.mark.parametrize("error", [BlobNotFound(), StoreUnavailable("away"), OSError("disk")])
def test_a_store_that_fails_is_passed_over_for_the_next(
    world: World, store: FaultyStore, member: Identity, twice: Image, error: Exception
) -> None:
    assert read(data.download(world, member, twice.id, None)) == b"data"
    assert store.calls[-1] == "open"
    store.fail("local_path", error)
    assert read(data.download(world, member, twice.id, None)) == b"data"


def test_when_no_copy_can_be_read_the_last_error_is_told(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    store.fail("local_path", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        data.download(world, member, active.id, None)


@pytest.fixture
def dead_upload(world: World, store: FaultyStore, queued: Image) -> Iterator[Location]:
    """What a process leaves that was killed between the store's last byte and the commit."""
    with world.metadata.unit_of_work() as work:
        saving = replace(queued, status=ImageStatus.SAVING)
        work.images.save(saving, expect_status={ImageStatus.QUEUED})
        row = Location(
            url="",
            store="fast",
            image_id=queued.id,
            status=LocationStatus.WRITING,
            holder="elsewhere/1/dead",
        )
        row = work.locations.add(row)
        work.commit()
    store.write(queued.id, stream(), 4)
    yield row


def test_what_a_dead_upload_left_is_undone(
    world: World, store: FaultyStore, member: Identity, queued: Image, dead_upload: Location
) -> None:
    assert recover(world) == 1
    assert_as_before(world, store, member, queued)
    assert recover(world) == 0


def test_an_upload_that_is_alive_is_left_alone(
    world: World, member: Identity, queued: Image, dead_upload: Location
) -> None:
    with world.metadata.unit_of_work() as work:
        alive = replace(dead_upload, holder=world.lease.holder)
        work.locations.save(alive, expect_status=LocationStatus.WRITING)
        work.commit()
    assert recover(world) == 0
    assert images.show(world, member, queued.id).status is ImageStatus.SAVING


def test_a_store_that_is_away_delays_recovery_and_loses_nothing(
    world: World, store: FaultyStore, member: Identity, queued: Image, dead_upload: Location
) -> None:
    store.fail("discard", StoreUnavailable("away"))
    assert recover(world) == 0
    assert images.show(world, member, queued.id).status is ImageStatus.SAVING
    store.heal()
    assert recover(world) == 1
    assert_as_before(world, store, member, queued)
