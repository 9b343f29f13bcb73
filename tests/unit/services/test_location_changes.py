# SPDX-License-Identifier: Apache-2.0
"""An image's locations changed by PATCH: what is added, described again, and taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glancekit.core.errors import (
    Conflict,
    Duplicate,
    Forbidden,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    SizeMismatch,
    StatusConflict,
)
from glancekit.core.model.changes import Change, LocationChange, NewImage, NewLocation, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.core.model.status import LocationStatus
from glancekit.services import actions, images, location_changes
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_store import MemoryStore

SHA512 = "0" * 128


@pytest.fixture
def world(world: World) -> World:
    """A world whose operator lets clients change locations."""
    return replace(world, settings=replace(world.settings, show_multiple_locations=True))


@pytest.fixture(autouse=True)
def data(store: FaultyStore, second: MemoryStore) -> None:
    """There is data in both stores that is no image's yet."""
    store.blobs["x"] = b"data"
    second.blobs["x"] = b"data"
    second.blobs["other"] = b"more data"


def add(url: str, position: int | None = None, **facts: str) -> LocationChange:
    return LocationChange(Op.ADD, position, (NewLocation(url=url, **facts),))


def in_slow(name: str = "x") -> LocationChange:
    new = NewLocation(url=f"memory://slow/{name}", metadata={"store": "slow", "a": "b"})
    return LocationChange(Op.ADD, None, (new,))


def test_only_where_the_operator_lets_clients(
    world: World, member: Identity, queued: Image
) -> None:
    strict = replace(world, settings=replace(world.settings, show_multiple_locations=False))
    with pytest.raises(Forbidden):
        location_changes.change(strict, member, queued.id, [add("memory://fast/x")])


def test_a_queued_image_becomes_active(world: World, member: Identity, queued: Image) -> None:
    image = location_changes.change(world, member, queued.id, [add("memory://fast/x")])
    assert (image.status, image.size) == ("active", 4)
    assert [(place.url, place.store) for place in image.locations] == [("memory://fast/x", "fast")]


def test_given_digests_are_recorded(world: World, member: Identity, queued: Image) -> None:
    known = add("memory://fast/x", checksum="1" * 32, hash_algo="sha512", hash_value=SHA512)
    image = location_changes.change(world, member, queued.id, [known])
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (
        "1" * 32,
        "sha512",
        SHA512,
    )


def test_a_second_copy_and_what_becomes_of_it(
    world: World, member: Identity, admin: Identity, active: Image, second: MemoryStore
) -> None:
    image = location_changes.change(world, member, active.id, [in_slow()])
    assert [place.store for place in image.locations] == ["fast", "slow"]
    assert image.locations[1].metadata == {"a": "b"}
    described = tuple(
        NewLocation(url=place.url, metadata={"store": place.store, "c": "d"})
        for place in image.locations
    )
    replacing = LocationChange(Op.REPLACE, None, described)
    image = location_changes.change(world, member, active.id, [replacing])
    assert [place.metadata for place in image.locations] == [{"c": "d"}, {"c": "d"}]
    remove = LocationChange(Op.REMOVE, 1)
    with pytest.raises(Forbidden):
        location_changes.change(world, member, active.id, [remove])
    with pytest.raises(Invalid):
        location_changes.change(world, admin, active.id, [LocationChange(Op.REMOVE, 2)])
    image = location_changes.change(world, admin, active.id, [remove])
    assert [place.store for place in image.locations] == ["fast"]
    assert "x" not in second.blobs
    with pytest.raises(Forbidden):
        location_changes.change(world, admin, active.id, [LocationChange(Op.REMOVE, 0)])


def test_a_location_is_described_by_what_is_shown_of_it(
    world: World, member: Identity, active: Image
) -> None:
    (location,) = active.locations
    secret = location.url.replace("://", "://user:password@")
    with world.metadata.unit_of_work() as work:
        work.locations.save(replace(location, url=secret), expect_status=LocationStatus.ACTIVE)
        work.commit()
    for url, fact in ((location.url, "one"), (secret, "two")):
        described = (NewLocation(url=url, metadata={"a": fact}),)
        replacing = LocationChange(Op.REPLACE, None, described)
        image = location_changes.change(world, member, active.id, [replacing])
        assert [(place.url, place.metadata) for place in image.locations] == [
            (secret, {"a": fact})
        ]
    other = (NewLocation(url=f"{location.url}x", metadata={}),)
    with pytest.raises(Invalid):
        location_changes.change(
            world, member, active.id, [LocationChange(Op.REPLACE, None, other)]
        )


def test_locations_replace_none(world: World, member: Identity, queued: Image) -> None:
    both = tuple(NewLocation(url=f"memory://{name}/x", metadata={"store": name})
                 for name in ("fast", "slow"))  # fmt: skip
    replacing = LocationChange(Op.REPLACE, None, both)
    image = location_changes.change(world, member, queued.id, [replacing])
    assert image.status == "active"
    assert [place.store for place in image.locations] == ["fast", "slow"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([add("file:///etc/passwd")], Invalid),
        ([add("filesystem:///etc/passwd")], Invalid),
        ([add("swift+config://a/b/c")], Invalid),
        ([add("memory://fast/nothing")], Invalid),
        ([in_slow("other")], SizeMismatch),
        ([in_slow(), in_slow()], Invalid),
        ([add("memory://fast/x")], Duplicate),
        ([add("memory://slow/x", 7)], Invalid),
        ([add("memory://slow/x", hash_algo="sha512", hash_value=SHA512)], Conflict),
        ([LocationChange(Op.REPLACE)], Forbidden),
        ([LocationChange(Op.REPLACE, None, (NewLocation(url="memory://slow/x"),))], Invalid),
        ([in_slow(), LocationChange(Op.REMOVE, 0)], Invalid),
    ],
)
def test_what_is_refused(
    world: World,
    admin: Identity,
    active: Image,
    changes: list[LocationChange],
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        location_changes.change(world, admin, active.id, changes)
    assert images.show(world, admin, active.id).locations == active.locations


def test_states_quotas_and_algorithms(
    world: World, member: Identity, reader: Identity, queued: Image, active: Image
) -> None:
    with pytest.raises(Forbidden):
        location_changes.change(world, reader, active.id, [in_slow()])
    tight = replace(world, settings=replace(world.settings, image_location_quota=1))
    with pytest.raises(LimitExceeded):
        location_changes.change(tight, member, active.id, [in_slow()])
    fresh = images.create(world, member, NewImage(disk_format="raw", container_format="bare"))
    for algorithm, digits in (("md5", 32), ("sha512", 64)):
        other = add("memory://fast/x", hash_algo=algorithm, hash_value="0" * digits)
        with pytest.raises(Invalid):
            location_changes.change(world, member, fresh.id, [other])
    actions.deactivate(world, member, active.id)
    with pytest.raises(StatusConflict):
        location_changes.change(world, member, active.id, [in_slow()])


def test_nothing_is_read_for_digests_that_nobody_gave(
    world: World, member: Identity, queued: Image
) -> None:
    """As in Glance, whose clients may take it that a location by PATCH has none."""
    location_changes.change(world, member, queued.id, [add("memory://fast/x")])
    with world.metadata.unit_of_work(read_only=True) as work:
        assert work.tasks.of_image(queued.id) == []
    assert images.show(world, member, queued.id).os_hash_value is None


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({}, True),
        ({"checksum": "1" * 32}, True),
        ({"checksum": "2" * 32}, False),
        ({"hash_value": "2" * 128}, False),
        ({"hash_algo": "sha256", "hash_value": "0" * 64}, False),
    ],
)
def test_a_further_copy_has_the_digests_of_the_image(
    world: World, member: Identity, queued: Image, said: dict[str, str], fits: bool
) -> None:
    digests = {"checksum": "1" * 32, "hash_algo": "sha512", "hash_value": SHA512}
    location_changes.change(world, member, queued.id, [add("memory://fast/x", **digests)])
    new = NewLocation(
        url="memory://slow/x",
        metadata={"store": "slow"},
        **{"hash_algo": "sha512", "hash_value": SHA512, **said},
    )
    change = LocationChange(Op.ADD, None, (new,))
    if fits:
        location_changes.change(world, member, queued.id, [change])
    else:
        with pytest.raises(Conflict):
            location_changes.change(world, member, queued.id, [change])
    assert len(images.show(world, member, queued.id).locations) == 1 + fits


@pytest.mark.parametrize(("times", "is_done"), [(1, True), (100, False)])
def test_an_image_changed_in_between_is_looked_at_again(
    world: World,
    member: Identity,
    active: Image,
    second: MemoryStore,
    times: int,
    is_done: bool,
) -> None:
    class Meddling(MemoryStore):
        left = times

        def size(self, location):
            if self.left:
                self.left -= 1
                images.update(world, member, active.id, [Change(Op.ADD, "n", str(self.left))])
            return super().size(location)

    meddling = Meddling(name="slow")
    meddling.blobs = second.blobs
    world.stores.by_id["slow"].driver = meddling
    if is_done:
        location_changes.change(world, member, active.id, [in_slow()])
    else:
        with pytest.raises(Conflict):
            location_changes.change(world, member, active.id, [in_slow()])
    shown = images.show(world, member, active.id)
    assert (len(shown.locations) == 2) is is_done
    assert "n" in shown.properties


def test_an_image_deleted_in_between_stays_so(
    world: World, member: Identity, active: Image, second: MemoryStore
) -> None:
    class Meddling(MemoryStore):
        def size(self, location):
            images.delete(world, member, active.id)
            return super().size(location)

    meddling = Meddling(name="slow")
    meddling.blobs = second.blobs
    world.stores.by_id["slow"].driver = meddling
    with pytest.raises(ImageNotFound):
        location_changes.change(world, member, active.id, [in_slow()])
