# SPDX-License-Identifier: Apache-2.0
"""Data registered where it is: who may, what becomes of the image, and of its digests."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.background import Background
from glancekit.core.errors import (
    BlobNotFound,
    Forbidden,
    Invalid,
    LimitExceeded,
    StatusConflict,
    StoreUnavailable,
)
from glancekit.core.model.changes import NewImage, NewLocation
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, now
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import Task, TaskStatus
from glancekit.core.stream import IteratorStream
from glancekit.services import data, digests, images, locations, tasks
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.waiting import wait_until

DATA = b"data of an image" * 1000
URL = "memory://fast/snapshot"
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def service(member: Identity) -> Identity:
    """What nova is: a member of the image's project, and a service."""
    return replace(member, roles=member.roles | {"service"})


@pytest.fixture(autouse=True)
def snapshot(store: FaultyStore) -> None:
    """There is data in the default store that is no image's yet."""
    store.blobs["snapshot"] = DATA


def settled(world: World, caller: Identity, image_id: str) -> Task:
    """Wait for the end of an image's only task."""
    deadline = time.monotonic() + 30
    while True:
        (task,) = tasks.of_image(world, caller, image_id)
        if task.status in (TaskStatus.SUCCESS, TaskStatus.FAILURE):
            return task
        assert time.monotonic() < deadline, task
        time.sleep(0.01)


def given(value: str = SHA256, algo: str = "sha256") -> NewLocation:
    return NewLocation(url=URL, hash_algo=algo, hash_value=value)


def test_without_a_digest_it_is_active_at_once_and_digested_later(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    store.fail("open", StoreUnavailable("gone for now"))
    locations.register(world, service, queued.id, NewLocation(url=URL))
    image = images.show(world, service, queued.id)
    assert (image.status, image.size) == ("active", len(DATA))
    assert (image.os_hash_algo, image.os_hash_value) == ("sha512", None)
    assert [(place.url, place.store) for place in image.locations] == [(URL, "fast")]
    wait_until(lambda: tasks.of_image(world, service, queued.id)[0].holder is None)
    store.heal()
    assert digests.go_on(world) == 0, "a store that failed is left alone for a while"
    assert digests.go_on(with_patience_gone(world, queued)) == 1
    image = images.show(world, service, queued.id)
    assert image.checksum == hashlib.md5(DATA).hexdigest()
    assert image.os_hash_value == hashlib.sha512(DATA).hexdigest()
    assert image.os_hash_algo == "sha512"
    assert settled(world, service, queued.id).status is TaskStatus.SUCCESS


def with_patience_gone(world: World, image: Image) -> World:
    """Return the world as it is when a store was left alone for long enough."""
    state = world.metadata.state  # type: ignore[attr-defined]
    for task in list(state.tasks.values()):
        if task.image_id == image.id:
            state.tasks[task.id] = replace(task, updated_at=task.updated_at - digests.PAUSE)
    return world


def test_with_a_digest_it_waits_until_the_data_has_it(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    store.hang("open")
    locations.register(world, service, queued.id, given())
    image = images.show(world, service, queued.id)
    assert (image.status, image.locations) == ("importing", ())
    with pytest.raises(StatusConflict):
        data.upload(world, service, queued.id, IteratorStream(iter([b""])), size=0, store=None)
    store.heal()
    assert settled(world, service, queued.id).status is TaskStatus.SUCCESS
    image = images.show(world, service, queued.id)
    assert (image.status, image.size) == ("active", len(DATA))
    assert (image.os_hash_algo, image.os_hash_value) == ("sha256", SHA256)
    found = data.download(world, service, queued.id, None)
    assert found.stream is not None
    assert b"".join(found.stream) == DATA


def test_with_a_wrong_digest_it_is_queued_again_and_the_data_stays(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    locations.register(world, service, queued.id, given("0" * 64))
    task = settled(world, service, queued.id)
    assert task.status is TaskStatus.FAILURE
    assert "digest" in task.message
    assert task.expires_at is not None
    image = images.show(world, service, queued.id)
    assert (image.status, image.size, image.locations) == ("queued", None, ())
    assert store.blobs["snapshot"] == DATA
    locations.register(world, service, queued.id, NewLocation(url=URL))
    assert images.show(world, service, queued.id).status == "active"


@pytest.mark.parametrize("new", [given("0" * 64), NewLocation(url=URL)])
def test_without_secure_hash_nothing_is_read(
    world: World, service: Identity, queued: Image, store: FaultyStore, new: NewLocation
) -> None:
    world = replace(world, settings=replace(world.settings, do_secure_hash=False))
    store.fail("open", BlobNotFound())
    locations.register(world, service, queued.id, new)
    image = images.show(world, service, queued.id)
    assert (image.status, image.os_hash_value) == ("active", new.hash_value)
    assert settled(world, service, queued.id).status is TaskStatus.SUCCESS
    assert "open" not in store.calls


def test_who_may_register_what(
    world: World,
    service: Identity,
    member: Identity,
    reader: Identity,
    admin: Identity,
    queued: Image,
) -> None:
    for caller in (member, admin):
        with pytest.raises(Forbidden):
            locations.register(world, caller, queued.id, NewLocation(url=URL))
        with pytest.raises(Forbidden):  # there is no web store here
            locations.register(world, caller, queued.id, NewLocation(url="http://x/y"))
    with pytest.raises(Forbidden):
        locations.register(world, reader, queued.id, NewLocation(url=URL))
    with_service_token = replace(member, service_roles=frozenset({"service"}))
    locations.register(world, with_service_token, queued.id, NewLocation(url=URL))
    for caller in (member, reader):
        with pytest.raises(Forbidden):
            locations.show(world, caller, queued.id)
    for caller in (admin, service):
        assert [place.url for place in locations.show(world, caller, queued.id)] == [URL]


@pytest.mark.parametrize(
    "url",
    ["memory://fast/nothing", "swift+config://me/c/o", "nonsense", "http://[", "ftp://x/y", ""],
)
def test_what_no_store_has_cannot_be_registered(
    world: World, service: Identity, queued: Image, url: str
) -> None:
    with pytest.raises(Invalid):
        locations.register(world, service, queued.id, NewLocation(url=url))
    assert images.show(world, service, queued.id).status == "queued"


def test_what_has_no_room_formats_or_right_state(
    world: World, service: Identity, queued: Image, active: Image, store: FaultyStore
) -> None:
    with pytest.raises(StatusConflict):
        locations.register(world, service, active.id, NewLocation(url=URL))
    bare = images.create(world, service, NewImage())
    with pytest.raises(Invalid):
        locations.register(world, service, bare.id, NewLocation(url=URL))
    store.blobs["empty"] = b""
    store.blobs["large"] = bytes(world.settings.image_size_cap + 1)
    other = images.create(world, service, NewImage(disk_format="raw", container_format="bare"))
    with pytest.raises(Invalid):
        locations.register(world, service, other.id, NewLocation(url="memory://fast/empty"))
    with pytest.raises(LimitExceeded):
        locations.register(world, service, other.id, NewLocation(url="memory://fast/large"))
    none = replace(world, settings=replace(world.settings, image_location_quota=0))
    with pytest.raises(LimitExceeded):
        locations.register(none, service, other.id, NewLocation(url=URL))


# -- when processes die, and images go


def left_by_the_dead(world: World, caller: Identity, image: Image, new: NewLocation) -> World:
    """Register in a process that dies before it has read a byte; return another's world."""
    dying = replace(world, background=Background(at_once=0))
    locations.register(dying, caller, image.id, new)
    state = world.metadata.state  # type: ignore[attr-defined]
    (task,) = (task for task in state.tasks.values() if task.image_id == image.id)
    state.tasks[task.id] = replace(task, holder="elsewhere/1/dead")
    return world


@pytest.mark.parametrize("new", [given(), NewLocation(url=URL)])
def test_another_process_goes_on_with_what_a_dead_one_left(
    world: World, service: Identity, queued: Image, new: NewLocation
) -> None:
    assert digests.go_on(left_by_the_dead(world, service, queued, new)) == 1
    image = images.show(world, service, queued.id)
    assert (image.status, image.checksum) == ("active", hashlib.md5(DATA).hexdigest())
    assert digests.go_on(world) == 0


def test_what_a_living_process_is_at_is_left_alone(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    store.hang("open")
    locations.register(world, service, queued.id, given())
    assert digests.go_on(world) == 0
    store.heal()
    settled(world, service, queued.id)


def test_a_stopping_process_puts_its_work_down(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    world = replace(world, background=Background())
    store.hang("open")
    locations.register(world, service, queued.id, given())
    world.background.stopping.set()
    store.heal()
    world.background.stop()
    (task,) = tasks.of_image(world, service, queued.id)
    assert (task.status, task.holder) == (TaskStatus.PROCESSING, None)
    assert digests.go_on(world) == 0, "it takes nothing up again"
    fresh = replace(world, background=Background())
    assert digests.go_on(fresh) == 1
    assert images.show(world, service, queued.id).status == "active"


@pytest.mark.parametrize("new", [given(), NewLocation(url=URL)])
def test_an_image_that_was_deleted_meanwhile_stays_so(
    world: World, service: Identity, queued: Image, store: FaultyStore, new: NewLocation
) -> None:
    left_by_the_dead(world, service, queued, new)
    images.delete(world, service, queued.id)
    store.blobs["snapshot"] = DATA
    assert digests.go_on(world) == 1
    with world.metadata.unit_of_work() as work:
        (task,) = work.tasks.of_image(queued.id)
        assert list(work.locations.of_image(queued.id)) == []
    assert task.status is TaskStatus.FAILURE


def test_a_store_that_fails_for_long_ends_the_task(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    left_by_the_dead(world, service, queued, given())
    store.fail("open", StoreUnavailable("no answer"))
    state = world.metadata.state  # type: ignore[attr-defined]
    for task in list(state.tasks.values()):
        long_ago = now() - digests.GIVE_UP - timedelta(seconds=1)
        state.tasks[task.id] = replace(task, created_at=long_ago)
    assert digests.go_on(world) == 1
    assert settled(world, service, queued.id).status is TaskStatus.FAILURE
    assert images.show(world, service, queued.id).status is ImageStatus.QUEUED


def test_data_that_changed_its_size_is_not_digested(
    world: World, service: Identity, queued: Image, store: FaultyStore
) -> None:
    left_by_the_dead(world, service, queued, given())
    store.blobs["snapshot"] = DATA + b"more"
    digests.go_on(world)
    assert images.show(world, service, queued.id).status is ImageStatus.QUEUED
