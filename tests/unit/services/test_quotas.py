# SPDX-License-Identifier: Apache-2.0
"""Quotas through the use cases: what is refused, what is reserved, and what comes back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.core.errors import (
    ConfigError,
    Conflict,
    Forbidden,
    GlancekitError,
    LimitExceeded,
    StoreFailed,
    Unavailable,
)
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.quota import MIB, NOTHING_USED, ProjectUsage, Quota
from glancekit.core.stream import IteratorStream
from glancekit.services import data, images, quotas, usage
from glancekit.services.builtins.config_limits import ConfigLimits
from glancekit.services.recovery import recover
from glancekit.services.usage import Used
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore

OPTIONS = {option.dest: option.default for option in ConfigLimits.options}


def source(**chosen: Any) -> ConfigLimits:
    return ConfigLimits(SimpleNamespace(**{**OPTIONS, **chosen}), name="config")


def limited(world: World, cap: int = 0, **chosen: Any) -> World:
    """Return the world with limits: ``cap`` bytes for each owner, and those of ``[quotas]``."""
    settings = replace(world.settings, user_storage_quota=cap, image_size_cap=1 << 30)
    return replace(world, limits=source(**chosen) if chosen else None, settings=settings)


def create(world: World, caller: Identity) -> Image:
    return images.create(world, caller, NewImage(disk_format="raw", container_format="bare"))


def upload(
    world: World, caller: Identity, image: Image, length: int, *, known: bool, piece: int = 256
) -> Image:
    left = [piece] * (length // piece) + ([length % piece] if length % piece else [])
    bytes_of_it = IteratorStream(bytes(part) for part in left)
    size = length if known else None
    return data.upload(world, caller, image.id, bytes_of_it, size=size, store=None)


def used(world: World, project: str = "p1") -> ProjectUsage:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.quotas.usage(project)


@pytest.fixture(params=[True, False], ids=["known", "chunked"])
def known(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_last_byte_fits_and_one_more_does_not(
    world: World, member: Identity, known: bool
) -> None:
    world = limited(world, cap=1000)
    upload(world, member, create(world, member), 999, known=known)
    refused = create(world, member)
    with pytest.raises(LimitExceeded) as caught:
        upload(world, member, refused, 2, known=known)
    assert (caught.value.limit, caught.value.asked) == (1000, 1001)
    assert used(world) == ProjectUsage(image_bytes=999, images=2)
    assert upload(world, member, refused, 1, known=known).is_active
    assert used(world) == ProjectUsage(image_bytes=1000, images=2)
    assert upload(world, member, create(world, member), 0, known=known).is_active
    images.delete(world, member, refused.id)
    assert used(world).image_bytes == 999


def test_a_long_upload_of_unknown_size_reserves_ahead_and_returns_the_rest(
    world: World, member: Identity
) -> None:
    world = limited(world, cap=100 * MIB)
    image = create(world, member)
    seen = []

    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield bytes(MIB)
            seen.append(used(world).image_bytes)

    data.upload(world, member, image.id, IteratorStream(pieces()), size=None, store=None)
    assert all(reserved >= (at + 1) * MIB for at, reserved in enumerate(seen))
    assert len(set(seen)) < len(seen)  # a step is for more than one piece
    assert max(seen) > 12 * MIB - 1
    assert used(world).image_bytes == 12 * MIB


def test_a_failed_upload_returns_what_it_had(
    world: World, store: FaultyStore, member: Identity, known: bool
) -> None:
    world = limited(world, cap=1000)
    image = create(world, member)
    store.fail("write", StoreFailed("no", store="fast", operation="write"))
    with pytest.raises(GlancekitError):
        upload(world, member, image, 900, known=known)
    assert used(world) == ProjectUsage(images=1)


def test_what_a_dead_upload_had_reserved_comes_back(
    world: World, member: Identity, known: bool
) -> None:
    """The process is gone between any two pieces: what is left is what the reaper finds."""
    world = limited(world, cap=1000)
    image = create(world, member)
    allowed = quotas.allowance_for(world, image.id)
    dead = replace(world, lease=SimpleNamespace(holder="gone/1/x"))
    size = 600 if known else None
    _, writing = data._begin(
        dead, member, image.id, world.stores.default, size=size, allowed=allowed
    )
    for observer in quotas.observers(dead, allowed, writing, size):
        observer.feed(bytes(600))
    assert used(world).uploading == 1
    assert used(world).image_bytes >= 600
    assert recover(world) == 1
    assert used(world) == ProjectUsage(images=1)
    assert upload(world, member, image, 1000, known=known).is_active


def test_uploads_at_the_edge_never_exceed_it(world: World, member: Identity) -> None:
    """Fifty of random sizes, half of them announced; then the room that is left is still there."""
    cap = 20_000
    world = limited(world, cap=cap)
    choose = random.Random(7)
    sizes = [choose.randrange(1, 1200) for _ in range(50)]
    made = [create(world, member) for _ in sizes]

    def attempt(number: int) -> int:
        size = sizes[number]
        try:
            upload(world, member, made[number], size, known=number % 2 == 0, piece=100)
        except LimitExceeded:
            return 0
        return size

    with ThreadPoolExecutor(16) as pool:
        stored = sum(pool.map(attempt, range(len(sizes))))
    assert stored <= cap
    assert used(world) == ProjectUsage(image_bytes=stored, images=50)
    assert upload(world, member, create(world, member), cap - stored, known=True).is_active
    assert used(world).image_bytes == cap


def test_images_and_uploads_are_counted(
    world: World, member: Identity, stranger: Identity
) -> None:
    world = limited(world, image_count_total=2, image_count_uploading=0)
    first = create(world, member)
    create(world, member)
    with pytest.raises(LimitExceeded):
        create(world, member)
    assert create(world, stranger).owner == "p2"
    with pytest.raises(LimitExceeded):
        upload(world, member, first, 1, known=True)
    assert images.show(world, member, first.id).status == "queued"
    images.delete(world, member, first.id)
    create(world, member)


def test_a_limit_below_what_is_used_refuses_only_more(world: World, member: Identity) -> None:
    image = create(world, member)
    upload(world, member, image, 500, known=True)
    world = limited(world, cap=100, image_count_total=0)
    renamed = [Change(Op.REPLACE, "name", "x")]
    assert images.update(world, member, image.id, renamed).name == "x"
    images.delete(world, member, image.id)
    assert used(world) == NOTHING_USED


def test_a_gift_counts_for_who_gets_it(world: World, admin: Identity, active: Image) -> None:
    images.update(world, admin, active.id, [Change(Op.REPLACE, "owner", "p2")])
    assert used(world) == NOTHING_USED
    assert used(world, "p2") == ProjectUsage(image_bytes=4, images=1)


def test_an_image_given_away_meanwhile_is_not_held_against_the_wrong_limits(
    world: World, admin: Identity, member: Identity, queued: Image
) -> None:
    world = limited(world, cap=1000)
    allowed = quotas.allowance_for(world, queued.id)
    images.update(world, admin, queued.id, [Change(Op.REPLACE, "owner", "p2")])
    with world.metadata.unit_of_work() as work, pytest.raises(Conflict):
        allowed.require(work, "p2", Quota.IMAGE_SIZE_TOTAL)


def test_limits_that_cannot_be_known_stop_what_needs_them_alone(
    world: World, member: Identity, active: Image
) -> None:
    class Down(ConfigLimits):
        def limits(self, project_id: str) -> Any:
            raise Unavailable("later")

    world = replace(world, limits=Down(SimpleNamespace(**OPTIONS), name="down"))
    with pytest.raises(Unavailable):
        create(world, member)
    assert images.show(world, member, active.id).is_active
    images.delete(world, member, active.id)


def test_usage_is_shown_in_the_quotas_units(world: World, member: Identity) -> None:
    assert usage.of_caller(limited(world), member) == {}
    upload(world, member, create(world, member), MIB, known=True, piece=MIB)
    upload(world, member, create(world, member), 5, known=True)
    capped = limited(world, cap=3 * MIB - 1, image_size_total=7, image_count_total=9)
    assert usage.of_caller(capped, member) == {
        Quota.IMAGE_SIZE_TOTAL: Used(usage=1, limit=2),
        Quota.IMAGE_STAGE_TOTAL: Used(usage=0, limit=-1),
        Quota.IMAGE_COUNT_TOTAL: Used(usage=2, limit=9),
        Quota.IMAGE_COUNT_UPLOADING: Used(usage=0, limit=-1),
    }
    with pytest.raises(Forbidden):
        usage.of_caller(capped, replace(member, project_id=None))


def test_nobody_watches_bytes_that_no_limit_counts(world: World, member: Identity) -> None:
    image = create(world, member)
    place = Location(url="", image_id=image.id, store="fast")
    for chosen in ({"image_count_total": 5}, {"cap": 5}):
        some = limited(world, **chosen)
        allowed = quotas.allowance_for(some, image.id)
        assert not quotas.observers(some, allowed, place, 3)
        assert bool(quotas.observers(some, allowed, place, None)) == ("cap" in chosen)


def test_limits_of_the_configuration() -> None:
    assert not source().is_limiting()
    chosen = source(
        image_size_total=5,
        overrides=[
            "p:image_size_total=-1",
            "p : image_count_total = 3",
            "a:b:image_count_total=0",
        ],
    )
    assert chosen.is_limiting()
    assert chosen.limits("x") == {Quota.IMAGE_SIZE_TOTAL: 5}
    assert chosen.limits("p") == {Quota.IMAGE_COUNT_TOTAL: 3}
    assert chosen.limits("a:b") == {Quota.IMAGE_SIZE_TOTAL: 5, Quota.IMAGE_COUNT_TOTAL: 0}
    for wrong in ("image_size_total=1", "p:image_size=1", "p:image_size_total=x", "p", "p:q=-2"):
        with pytest.raises(ConfigError, match="overrides"):
            source(overrides=[wrong])
