# SPDX-License-Identifier: Apache-2.0
"""One copy of an image's data is taken away, whatever goes wrong meanwhile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glancekit.core.errors import (
    BlobInUse,
    BlobNotFound,
    Conflict,
    Forbidden,
    NotFound,
    StatusConflict,
    StoreUnavailable,
)
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Finding, Image, Location
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.services import actions, images, stores
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_store import MemoryStore


@pytest.fixture
def twice(world: World, active: Image, second: MemoryStore) -> Image:
    """An image with a copy in each store."""
    second.blobs[active.id] = b"data"
    with world.metadata.unit_of_work() as work:
        url = f"memory://slow/{active.id}"
        work.locations.add(Location(url=url, store="slow", image_id=active.id))
        work.commit()
        return work.images.get(active.id)


def stores_of(world: World, image: Image) -> list[tuple[str, str]]:
    """Return where an image's rows are, in which state."""
    with world.metadata.unit_of_work(read_only=True) as work:
        return [(row.store, row.status.value) for row in work.locations.of_image(image.id)]


def test_a_copy_is_deleted_and_the_image_lives(
    world: World, admin: Identity, twice: Image, store: FaultyStore, second: MemoryStore
) -> None:
    stores.delete_from(world, admin, "fast", twice.id)
    assert twice.id not in store.blobs
    assert stores_of(world, twice) == [("slow", "active")]
    assert images.show(world, admin, twice.id).status == "active"
    with pytest.raises(NotFound):
        stores.delete_from(world, admin, "fast", twice.id)
    with pytest.raises(Forbidden):
        stores.delete_from(world, admin, "slow", twice.id)
    assert second.blobs[twice.id] == b"data"


@pytest.mark.parametrize("finding", list(Finding))
def test_the_last_copy_that_can_be_read_stays(
    world: World,
    admin: Identity,
    twice: Image,
    store: FaultyStore,
    finding: Finding,
) -> None:
    with world.metadata.unit_of_work() as work:
        (copy,) = (copy for copy in twice.locations if copy.store == "slow")
        work.locations.note(replace(copy, finding=finding), since=copy.audited_at)
        work.commit()
    if not finding.is_lost:
        stores.delete_from(world, admin, "fast", twice.id)
        return
    with pytest.raises(Forbidden, match="last good copy"):
        stores.delete_from(world, admin, "fast", twice.id)
    assert store.blobs[twice.id] == b"data"
    stores.delete_from(world, admin, "slow", twice.id)
    assert stores_of(world, twice) == [("fast", "active")]


def test_a_copy_in_a_store_that_is_not_here_is_none_that_can_be_read(
    world: World, admin: Identity, twice: Image, store: FaultyStore
) -> None:
    alone = replace(world, stores=Stores([world.stores.get("fast")], "fast"))
    with pytest.raises(Forbidden, match="not here"):
        stores.delete_from(alone, admin, "fast", twice.id)
    assert store.blobs[twice.id] == b"data"


def test_who_may_and_when(world: World, admin: Identity, member: Identity, twice: Image) -> None:
    with pytest.raises(Forbidden):
        stores.delete_from(world, member, "fast", twice.id)
    with pytest.raises(Conflict):
        stores.delete_from(world, admin, "nowhere", twice.id)
    actions.deactivate(world, member, twice.id)
    with pytest.raises(StatusConflict):
        stores.delete_from(world, admin, "fast", twice.id)


def test_what_is_in_use_stays(
    world: World, admin: Identity, twice: Image, store: FaultyStore
) -> None:
    store.fail("delete", BlobInUse())
    with pytest.raises(BlobInUse):
        stores.delete_from(world, admin, "fast", twice.id)
    assert stores_of(world, twice) == [("fast", "active"), ("slow", "active")]


def test_a_store_that_does_not_answer_is_asked_again(
    world: World, admin: Identity, twice: Image, store: FaultyStore
) -> None:
    store.fail("delete", StoreUnavailable("asleep"))
    stores.delete_from(world, admin, "fast", twice.id)
    assert [place.store for place in images.show(world, admin, twice.id).locations] == ["slow"]
    assert recover(world) == 0
    store.heal()
    assert recover(world) == 1
    assert twice.id not in store.blobs
    assert stores_of(world, twice) == [("slow", "active")]
    assert images.show(world, admin, twice.id).status == "active"


def test_data_that_was_gone_is_gone(
    world: World, admin: Identity, twice: Image, store: FaultyStore
) -> None:
    store.fail("delete", BlobNotFound())
    stores.delete_from(world, admin, "fast", twice.id)
    assert stores_of(world, twice) == [("slow", "active")]


@pytest.mark.parametrize("in_use", [False, True])
def test_a_process_that_dies_midway_is_finished_for(
    world: World, admin: Identity, twice: Image, store: FaultyStore, in_use: bool
) -> None:
    with world.metadata.unit_of_work() as work:
        condemned = replace(
            twice.locations[0], status=LocationStatus.PENDING_DELETE, holder="elsewhere/1/dead"
        )
        work.locations.save(condemned, expect_status=LocationStatus.ACTIVE)
        work.commit()
    if in_use:
        store.fail("delete", BlobInUse())
    assert recover(world) == 1
    expected = [("fast", "active")] if in_use else []
    assert stores_of(world, twice) == [*expected, ("slow", "active")]
    assert (twice.id in store.blobs) is in_use
    assert images.show(world, admin, twice.id).status == "active"


def test_what_is_left_of_a_write_never_becomes_a_copy(
    world: World, admin: Identity, active: Image, second: MemoryStore
) -> None:
    """Also where the store says that it is in use, as one does whose host still holds the file."""
    left = Location(url="", store="slow", image_id=active.id, status=LocationStatus.PENDING_DELETE)
    with world.metadata.unit_of_work() as work:
        work.locations.add(left)
        work.commit()
    slow = FaultyStore(name="slow")
    slow.fail("discard", BlobInUse())
    fast = world.stores.get("fast")
    world = replace(world, stores=Stores([fast, Store("slow", slow)], "fast"))
    assert recover(world) == 0
    assert stores_of(world, active) == [("fast", "active"), ("slow", "pending_delete")]
    slow.heal()
    assert recover(world) == 1
    assert stores_of(world, active) == [("fast", "active")]


def test_details_are_for_administrators_and_services(
    world: World, admin: Identity, member: Identity
) -> None:
    assert [detail.store.id for detail in stores.details(world, admin)] == ["fast", "slow"]
    service = replace(member, roles=frozenset({"service"}))
    assert stores.details(world, service)[0].properties == {}
    with pytest.raises(Forbidden):
        stores.details(world, member)
