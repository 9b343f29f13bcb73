# SPDX-License-Identifier: Apache-2.0
"""Deleted images that can be had back, until the scrubber begins with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from glancekit.core.errors import Conflict, Forbidden, ImageNotFound
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.core.model.listing import Comparison, Condition, ImageQuery
from glancekit.core.model.status import ImageStatus
from glancekit.core.stream import IteratorStream
from glancekit.core.turns import TurnOver, turn_that_ends
from glancekit.services import actions, data, images, tags
from glancekit.services.builtins import scrubber
from glancekit.services.recovery import recover
from glancekit.services.restoring import restore
from glancekit.services.scrubbing import explain, scrub
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore

DAY = 24 * 3600
ALL = ImageQuery()
DELETED = ImageQuery(conditions=(Condition("status", Comparison.EQ, "pending_delete"),))


@pytest.fixture
def patient(world: World) -> World:
    """A world that keeps deleted images for a day."""
    settings = replace(world.settings, delayed_delete=True, scrub_time=DAY, scrub_rate=1000.0)
    return replace(world, settings=settings)


@pytest.fixture
def later(patient: World) -> World:
    """The same, when the day is over."""
    return replace(patient, settings=replace(patient.settings, scrub_time=0))


def content(world: World, caller: Identity, image_id: str) -> bytes:
    with data.download(world, caller, image_id, None).stream as stream:
        return stream.read()


def listed(world: World, caller: Identity, query: ImageQuery = ALL) -> Sequence[str]:
    return [image.id for image in images.find(world, caller, query).images]


def stored(world: World, image_id: str) -> Image:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image_id)


def told(world: World) -> list[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [event.type for event in work.events.after(0, limit=99)]


def test_a_deleted_image_comes_back_as_it_was(
    patient: World, member: Identity, active: Image
) -> None:
    tags.add(patient, member, active.id, "blue")
    before = images.show(patient, member, active.id)
    images.delete(patient, member, active.id)
    with pytest.raises(ImageNotFound):
        images.show(patient, member, active.id)
    with pytest.raises(ImageNotFound):
        data.download(patient, member, active.id, None)
    restore(patient, member, active.id)
    after = images.show(patient, member, active.id)
    assert after == replace(before, version=after.version, updated_at=after.updated_at)
    assert told(patient)[-2:] == ["image.delete", "image.restore"]


def test_what_nobody_could_read_nobody_can_read_afterwards(
    patient: World, member: Identity, active: Image
) -> None:
    actions.deactivate(patient, member, active.id)
    images.delete(patient, member, active.id)
    restore(patient, member, active.id)
    after = images.show(patient, member, active.id)
    assert (after.status, after.properties) == (ImageStatus.DEACTIVATED, {})


def test_owners_and_administrators_see_what_can_be_restored(
    patient: World, member: Identity, reader: Identity, stranger: Identity, admin: Identity
) -> None:
    kept, gone, other = [_active(patient, member) for _ in range(3)]
    _publish(patient, admin, gone)
    images.delete(patient, member, gone)
    for caller in (member, admin, stranger):
        assert gone not in listed(patient, caller)
    assert set(listed(patient, member)) == {kept, other}
    for caller in (member, reader, admin):
        assert listed(patient, caller, DELETED) == [gone]
    assert listed(patient, stranger, DELETED) == []
    several = Condition("status", Comparison.IN, ("active", "pending_delete"))
    assert set(listed(patient, member, ImageQuery(conditions=(several,)))) == {kept, gone, other}


def test_pages_are_full_whatever_was_deleted_between(patient: World, member: Identity) -> None:
    made = [_active(patient, member) for _ in range(6)]
    for image_id in made[1::2]:
        images.delete(patient, member, image_id)
    newest_first = made[::2][::-1]
    first = images.find(patient, member, ImageQuery(limit=2))
    assert [image.id for image in first.images] == newest_first[:2]
    assert first.is_full
    rest = images.find(patient, member, ImageQuery(limit=2, marker=newest_first[1]))
    assert [image.id for image in rest.images] == newest_first[2:]
    deleted = images.find(patient, member, replace(DELETED, limit=2))
    assert len(deleted.images) == 2
    behind = replace(DELETED, limit=2, marker=deleted.images[-1].id)
    assert listed(patient, member, behind) == [made[1]]


def test_who_may_restore(
    patient: World, member: Identity, reader: Identity, stranger: Identity, admin: Identity
) -> None:
    image_id = _active(patient, member)
    with pytest.raises(Conflict, match="nothing to restore"):
        restore(patient, member, image_id)
    images.delete(patient, member, image_id)
    with pytest.raises(Forbidden):
        restore(patient, reader, image_id)
    with pytest.raises(ImageNotFound):
        restore(patient, stranger, image_id)
    restore(patient, admin, image_id)


def test_an_image_without_data_is_gone_at_once(
    patient: World, member: Identity, queued: Image
) -> None:
    images.delete(patient, member, queued.id)
    with pytest.raises(ImageNotFound):
        restore(patient, member, queued.id)


def test_the_scrubber_waits_and_then_leaves_nothing(
    patient: World, later: World, member: Identity, store: FaultyStore, active: Image
) -> None:
    images.delete(patient, member, active.id)
    assert scrub(patient) == 0
    (sentence,) = explain(patient)
    assert sentence.startswith(f"image {active.id}: stays; it can be restored until ")
    assert stored(patient, active.id).locations
    time.sleep(0.001)
    (sentence,) = explain(later)
    assert sentence.startswith(f"image {active.id}: its data goes")
    assert scrub(later) == 1
    assert store.usage().free == FaultyStore().usage().free
    with pytest.raises(ImageNotFound):
        restore(patient, member, active.id)
    assert scrub(later) == 0
    assert told(patient)[-2:] == ["image.delete", "image.delete"]


def test_nothing_comes_back_once_the_scrubber_has_begun(
    patient: World, later: World, member: Identity, store: FaultyStore, active: Image
) -> None:
    images.delete(patient, member, active.id)
    store.fail("delete", OSError("away"))
    assert scrub(later) == 1
    with pytest.raises(Conflict, match="being removed"):
        restore(patient, member, active.id)
    assert listed(patient, member, DELETED) == []
    (sentence,) = explain(later)
    assert "is being removed already" in sentence
    store.heal()
    assert recover(patient) == 1
    with pytest.raises(ImageNotFound):
        stored(patient, active.id)


def test_a_restore_between_look_and_deed_wins(
    patient: World, later: World, member: Identity, active: Image
) -> None:
    images.delete(patient, member, active.id)

    def restored_meanwhile() -> bool:
        restore(patient, member, active.id)
        return False

    with turn_that_ends(restored_meanwhile):
        assert scrub(later) == 0
    assert content(patient, member, active.id) == b"data"


def test_a_scrubber_whose_turn_is_over_begins_with_no_other(
    patient: World, later: World, member: Identity
) -> None:
    both = [_active(patient, member) for _ in range(2)]
    for image_id in both:
        images.delete(patient, member, image_id)
    asked: list[int] = []

    def is_over() -> bool:
        asked.append(1)
        return len(asked) > 1

    with turn_that_ends(is_over), pytest.raises(TurnOver):
        scrub(later)
    assert stored(patient, both[1]).locations


def test_of_restore_and_scrubber_at_once_one_wins(
    patient: World, later: World, member: Identity
) -> None:
    for _ in range(20):
        image_id = _active(patient, member)
        images.delete(patient, member, image_id)
        scrubbing = threading.Thread(target=scrub, args=(later,))
        scrubbing.start()
        try:
            restore(patient, member, image_id)
        except (Conflict, ImageNotFound):
            is_back = False
        else:
            is_back = True
        scrubbing.join()
        if is_back:
            assert content(patient, member, image_id) == b"data"
        else:
            recover(patient)
            with pytest.raises(ImageNotFound):
                stored(patient, image_id)


def test_the_scrubber_is_as_slow_as_it_is_told(patient: World, member: Identity) -> None:
    settings = replace(patient.settings, scrub_time=0, scrub_rate=20.0)
    for _ in range(3):
        images.delete(patient, member, _active(patient, member))
    began = time.monotonic()
    assert scrub(replace(patient, settings=settings)) == 3
    assert time.monotonic() - began >= 3 / 20


def test_the_task(patient: World) -> None:
    (task,) = scrubber.register_periodic_tasks(patient)
    assert (task.name, task.interval) == ("scrubber", 300.0)
    assert task.run() == 0
    assert task.explain is not None and list(task.explain()) == []


def _active(world: World, caller: Identity) -> str:
    image = images.create(world, caller, NewImage(disk_format="raw", container_format="bare"))
    data.upload(world, caller, image.id, IteratorStream(iter([b"data"])), size=4, store=None)
    return image.id


def _publish(world: World, admin: Identity, image_id: str) -> None:
    with world.metadata.unit_of_work() as work:
        image = work.images.get(image_id)
        public = replace(image, visibility=type(image.visibility)("public"))
        work.images.save(public, expect_status={image.status})
        work.commit()
