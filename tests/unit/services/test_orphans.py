# SPDX-License-Identifier: Apache-2.0
"""Data without rows: what is found, what is left alone, and what may be removed."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.errors import (
    BlobInUse,
    CapabilityMissing,
    Conflict,
    GlancekitError,
    StoreReadOnly,
    StoreUnavailable,
)
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import Task, TaskStatus, TaskType
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import IteratorStream
from glancekit.services import data, images
from glancekit.services.builtins import auditor
from glancekit.services.keeping import orphans, report
from glancekit.services.keeping.options import Auditing
from glancekit.services.keeping.orphan_rounds import (
    FEW,
    explain,
    last_found,
    look_through_all,
    remove,
    remove_all,
    require_plausible,
)
from glancekit.services.keeping.orphans import Look, Orphan, Tally
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore, WatchedStream
from glancekit.testing.memory_store import MemoryStore

DAY = timedelta(days=1)
NONE = timedelta(0)
LONG_AGO = timedelta(days=3)


def stray(driver: MemoryStore, content: bytes = b"stray", image_id: str = "") -> str:
    """Put data into a store that was there for long, and that no record leads to."""
    image_id = image_id or str(uuid.uuid4())
    driver.blobs[image_id] = content
    driver.came[image_id] = now() - LONG_AGO
    return image_id


def found(world: World, store: str = "fast", age: timedelta = DAY) -> list[str]:
    return [orphan.image_id for orphan in Look(world, world.stores.get(store), age).orphans()]


def the_orphan(world: World, store: str = "fast", age: timedelta = DAY) -> Orphan:
    (orphan,) = Look(world, world.stores.get(store), age).orphans()
    return orphan


def add_row(
    world: World, image_id: str, url: str, *, store: str = "fast", **named: object
) -> None:
    with world.metadata.unit_of_work() as work:
        row = Location(url=url, store=store, image_id=image_id)
        work.locations.add(replace(row, **named))  # type: ignore[arg-type]
        work.commit()


def events(world: World, kind: str, limit: int = 99) -> list[dict[str, object]]:
    with world.metadata.unit_of_work(read_only=True) as work:
        told = work.events.after(0, limit=limit)
    return [dict(one.payload) for one in told if one.type == kind]


# -- finding


def test_what_has_no_record_is_found_and_nothing_else(
    world: World, active: Image, store: FaultyStore
) -> None:
    store.came[active.id] -= LONG_AGO
    strays = {stray(store), stray(store, b"another")}
    store.blobs["README"] = b"nothing of an image"
    look = Look(world, world.stores.get("fast"), DAY)
    by_id = {orphan.image_id: orphan for orphan in look.orphans()}
    assert by_id.keys() == strays
    assert look.tally == Tally(blobs=3, orphans=2, bytes=12, young=0)
    for image_id, orphan in by_id.items():
        assert orphan.url == f"memory://fast/{image_id}"
        assert orphan.modified_at == store.came[image_id]


def test_what_is_new_is_not_judged_yet(world: World, store: FaultyStore) -> None:
    image_id = stray(store)
    store.came[image_id] = now()
    look = Look(world, world.stores.get("fast"), timedelta(hours=1))
    assert list(look.orphans()) == []
    assert look.tally.young == 1
    assert found(world, age=NONE) == [image_id]


@pytest.mark.parametrize("status", list(LocationStatus))
def test_a_record_in_whatever_state_leads_to_what_its_store_has(
    world: World, queued: Image, store: FaultyStore, status: LocationStatus
) -> None:
    """Also one without a URL, of an upload under way or a copy that is being replaced."""
    stray(store, image_id=queued.id)
    assert found(world) == [queued.id]
    add_row(world, queued.id, "", status=status)
    assert found(world) == []


def test_a_copy_in_another_store_leaves_this_one_without_a_record(
    world: World, active: Image, second: MemoryStore
) -> None:
    stray(second, image_id=active.id)
    assert found(world, "slow") == [active.id]


def test_a_record_of_another_store_that_is_the_same_place_leads_to_it(
    world: World, queued: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray(store, image_id=queued.id)
    old, real = f"memory://former/{queued.id}", store.blob
    monkeypatch.setattr(
        store,
        "blob",
        lambda location: real(replace(location, url=location.url.replace("former", "fast"))),
    )
    add_row(world, queued.id, old, store="slow")
    assert found(world) == []


def test_a_record_of_a_store_that_is_not_configured_may_lead_to_it(
    world: World, queued: Image, store: FaultyStore
) -> None:
    stray(store, image_id=queued.id)
    add_row(world, queued.id, f"memory://former/{queued.id}", store="gone")
    assert found(world) == []


def test_a_store_that_cannot_tell_what_a_record_is_has_it(
    world: World, queued: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray(store, image_id=queued.id)
    add_row(world, queued.id, f"strange:{queued.id}", store="slow")
    real = store.blob

    def blob(location: Location) -> object:
        if location.url.startswith("strange"):
            raise ValueError("what is this?")
        return real(location)

    monkeypatch.setattr(store, "blob", blob)
    assert found(world) == []


@pytest.mark.parametrize("url", ["memory://fast/{}", "memory://user:pass@elsewhere/a/{}?old"])
def test_the_record_of_another_image_leads_to_it(
    world: World, active: Image, store: FaultyStore, url: str
) -> None:
    image_id = stray(store)
    add_row(world, active.id, url.format(image_id), store="elsewhere")
    assert found(world) == []


def test_a_location_that_waits_to_be_read_leads_to_it(
    world: World, active: Image, queued: Image, store: FaultyStore
) -> None:
    image_id = stray(store)
    waiting = Task(
        id=str(uuid.uuid4()),
        type=TaskType.LOCATION_IMPORT,
        image_id=active.id,
        input={"loc_url": f"memory://fast/{image_id}"},
    )
    with world.metadata.unit_of_work() as work:
        work.tasks.add(waiting)
        work.commit()
    assert found(world) == []
    with world.metadata.unit_of_work() as work:
        work.tasks.save(
            replace(waiting, status=TaskStatus.FAILURE), expect_status={TaskStatus.PENDING}
        )
        work.commit()
    assert found(world) == [image_id]


def test_an_upload_under_way_is_no_finding(
    world: World, member: Identity, queued: Image, store: FaultyStore
) -> None:
    """Looked at any moment of it, even where nothing is too new."""
    seen: list[list[str]] = []
    real = store.write

    def write(image_id: str, source: object, size: int | None) -> Location:
        location = real(image_id, source, size)  # type: ignore[arg-type]
        seen.append(found(world, age=NONE))  # all is there, and the record does not say so yet
        return location

    store.write = write  # type: ignore[method-assign]
    source = WatchedStream(
        IteratorStream(iter([b"da", b"ta"])), lambda given: seen.append(found(world, age=NONE))
    )
    data.upload(world, member, queued.id, source, size=4, store=None)
    assert len(seen) > 2
    assert not any(seen)


def test_what_gets_its_record_while_a_store_is_looked_through_is_no_finding(
    world: World, queued: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray(store, image_id=queued.id)
    real = orphans._named_by_others

    def then_add(*given: object, **named: object) -> object:
        add_row(world, queued.id, f"memory://fast/{queued.id}")
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(orphans, "_named_by_others", then_add)
    assert found(world) == []


def test_many_are_held_against_the_records_in_parts(
    world: World, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "LISTED", 3)
    monkeypatch.setattr(orphans, "ROWS", 2)
    wanted = {stray(store) for _ in range(20)}
    named = {stray(store) for _ in range(5)}
    for image_id in named:
        add_row(world, str(uuid.uuid4()), f"memory://fast/{image_id}")
    look = Look(world, world.stores.get("fast"), DAY, suspects=4)
    assert {orphan.image_id for orphan in look.orphans()} == wanted
    assert look.tally.blobs == 25


# -- telling


def test_a_round_tells_keeps_and_reports_what_it_found(
    world: World, active: Image, store: FaultyStore, second: MemoryStore
) -> None:
    image_id = stray(store, b"twelve bytes")
    said = look_through_all(world)
    assert said == "store fast: 1 of 2 without a record, store slow: 0 of 0 without a record"
    (told,) = events(world, "store.orphans.found")
    assert (told["store"], told["orphans"], told["bytes"]) == ("fast", 1, 12)
    assert [one["image_id"] for one in told["first"]] == [image_id]  # type: ignore[attr-defined]
    fast, slow = last_found(world)
    assert (fast.store, fast.blobs, fast.orphans, fast.bytes, fast.error) == ("fast", 2, 1, 12, "")
    assert slow.orphans == 0
    problems = [one for one in report.problems(world) if one.kind == "no record"]
    assert [(one.store, "1 of 2" in one.reason) for one in problems] == [("fast", True)]
    assert store.blobs[image_id], "nothing is removed by being found"
    assert [line for line in explain(world) if image_id in line]


def test_a_store_that_fails_does_not_keep_others_from_being_looked_through(
    world: World, store: FaultyStore, second: MemoryStore
) -> None:
    stray(store)
    image_id = stray(second)
    store.fail("contents", StoreUnavailable("no answer"))
    said = look_through_all(world)
    assert "store fast: 0 of 0 without a record, ended early: " in (said or "")
    assert "store slow: 1 of 1" in (said or "")
    assert "no answer" in last_found(world)[0].error
    assert [one.split(": ")[0] for one in explain(world)] == ["store fast", "store slow"]
    assert image_id in second.blobs


def test_a_listing_that_hangs_ends_after_the_stores_deadline(
    world: World, store: FaultyStore
) -> None:
    stray(store)
    stores = Stores([Store("fast", store, deadline=0.1)], "fast")
    store.hang("contents")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        found(replace(world, stores=stores))
    assert time.monotonic() - began < 5
    stores.close()


def test_the_task_is_offered_as_the_operator_wants_it(world: World) -> None:
    def tasks(**given: object) -> list[str]:
        auditing = Auditing(**given)  # type: ignore[arg-type]
        made = auditor.register_periodic_tasks(replace(world, auditing=auditing))
        return [task.name for task in made]

    assert tasks() == ["auditor", "orphans"]
    assert tasks(enabled=False) == ["orphans"]
    assert tasks(orphan_interval=NONE) == ["auditor"]


# -- removing


def test_what_is_found_can_be_removed_and_that_is_told(world: World, store: FaultyStore) -> None:
    image_id = stray(store)
    look_through_all(world)
    (outcome,) = remove_all(world, world.stores.get("fast"), DAY, per_second=100)
    assert outcome.is_removed
    assert image_id not in store.blobs
    (told,) = events(world, "store.orphan.removed")
    assert (told["store"], told["image_id"]) == ("fast", image_id)
    assert last_found(world)[0].orphans == 0
    assert not [one for one in report.problems(world) if one.kind == "no record"]


def _gets_its_record(world: World, orphan: Orphan, store: FaultyStore) -> None:
    add_row(world, orphan.image_id, orphan.url)


def _becomes_anothers(world: World, orphan: Orphan, store: FaultyStore) -> None:
    add_row(world, str(uuid.uuid4()), orphan.url, store="elsewhere")


def _is_written_anew(world: World, orphan: Orphan, store: FaultyStore) -> None:
    store.came[orphan.image_id] = now() - timedelta(days=2)


def _is_another_size(world: World, orphan: Orphan, store: FaultyStore) -> None:
    store.blobs[orphan.image_id] += b"more"


def _is_new(world: World, orphan: Orphan, store: FaultyStore) -> None:
    store.came[orphan.image_id] = now()


@pytest.mark.parametrize(
    "change",
    [_gets_its_record, _becomes_anothers, _is_written_anew, _is_another_size, _is_new],
    ids=lambda change: change.__name__.strip("_"),
)
def test_what_is_none_any_more_is_not_removed(
    world: World, store: FaultyStore, change: Callable[[World, Orphan, FaultyStore], None]
) -> None:
    orphan = the_orphan(world) if stray(store) else None
    assert orphan is not None
    change(world, orphan, store)
    outcome = remove(world, world.stores.get("fast"), orphan, DAY)
    assert not outcome.is_removed
    assert outcome.reason
    assert orphan.image_id in store.blobs
    assert not events(world, "store.orphan.removed")


def test_what_clones_depend_on_stays(world: World, store: FaultyStore) -> None:
    image_id = stray(store)
    store.fail("delete", BlobInUse())
    (outcome,) = remove_all(world, world.stores.get("fast"), DAY, per_second=100)
    assert (outcome.is_removed, outcome.reason) == (False, "others depend on it")
    assert image_id in store.blobs
    assert last_found(world)[0].orphans == 1


def test_nothing_is_removed_from_a_store_that_is_read_only(
    world: World, store: FaultyStore
) -> None:
    image_id = stray(store)
    read_only = Store("fast", store, read_only=True)
    with pytest.raises(StoreReadOnly):
        list(remove_all(world, read_only, DAY, per_second=100))
    assert image_id in store.blobs


def test_a_store_that_cannot_be_listed_is_passed_over(world: World) -> None:
    class Plain:
        api_level = 1
        options = ()
        schemes = ("plain",)

        def open(self, location: Location) -> None: ...
        def size(self, location: Location) -> None: ...
        def close(self) -> None: ...

    plain = Store("plain", Plain())  # type: ignore[arg-type]
    alone = replace(world, stores=Stores([plain], "plain"))
    assert look_through_all(alone) is None
    with pytest.raises(CapabilityMissing):
        list(Look(alone, plain, DAY).orphans())


@pytest.mark.parametrize(
    ("tally", "is_refused"),
    [
        (Tally(blobs=FEW, orphans=FEW), False),
        (Tally(blobs=FEW + 1, orphans=FEW + 1), True),
        (Tally(blobs=100, orphans=51), True),
        (Tally(blobs=100, orphans=50), False),
    ],
    ids=str,
)
def test_where_most_has_no_record_it_is_asked_whether_these_are_the_right_ones(
    world: World, tally: Tally, is_refused: bool
) -> None:
    if is_refused:
        with pytest.raises(Conflict, match="right records"):
            require_plausible(world.stores.get("fast"), tally)
    else:
        require_plausible(world.stores.get("fast"), tally)


def test_removals_are_so_many_in_a_second_at_most(world: World, store: FaultyStore) -> None:
    for _ in range(4):
        stray(store)
    began = time.monotonic()
    assert len(list(remove_all(world, world.stores.get("fast"), DAY, per_second=20))) == 4
    assert time.monotonic() - began >= 0.15


# -- all at once


class Rush:
    """Uploads, uploads that die, deletions, images made of another's data, and strays, in threads
    of their own, while what has no record is removed however new it is."""

    def __init__(self, world: World, caller: Identity) -> None:
        self._world = world
        self._caller = caller
        self._until = time.monotonic() + 4.0
        self.failures: list[BaseException] = []

    def run(self) -> None:
        """Let all go on until the end, and let the reaper and the last look finish."""
        deeds = [self.upload] * 3 + [self.delete, self.hand_over, self.leave, self.remove]
        threads = [
            threading.Thread(target=self._go_on, args=(deed, random.Random(number)))
            for number, deed in enumerate(deeds)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        while recover(self._world):
            continue
        self.remove(random.Random(0))

    def upload(self, chance: random.Random) -> None:
        made = images.create(
            self._world, self._caller, NewImage(disk_format="raw", container_format="bare")
        )

        def pieces() -> Iterator[bytes]:
            yield made.id.encode()
            time.sleep(chance.random() / 500)
            if chance.random() < 0.2:
                raise RuntimeError("cut off")
            yield made.id.encode()

        store = chance.choice(["fast", "slow"])
        with suppress(RuntimeError):
            source = IteratorStream(pieces())
            data.upload(self._world, self._caller, made.id, source, size=None, store=store)

    def delete(self, chance: random.Random) -> None:
        active = active_images(self._world)
        if len(active) > 20:
            images.delete(self._world, self._caller, chance.choice(active).id)

    def hand_over(self, chance: random.Random) -> None:
        """Have the data of one image be those of another, which alone has a record of it then."""
        made = images.create(
            self._world, self._caller, NewImage(disk_format="raw", container_format="bare")
        )
        with self._world.metadata.unit_of_work() as work:
            giver = work.images.get(chance.choice(active_images(self._world)).id)
            (place,) = giver.locations
            work.locations.add(replace(place, id=None, image_id=made.id))
            work.locations.remove(place.id or 0)
            gone = replace(giver, status=ImageStatus.DELETED)
            work.images.save(gone, expect_status={ImageStatus.ACTIVE})
            taker = replace(work.images.get(made.id), status=ImageStatus.ACTIVE, size=giver.size)
            work.images.save(taker, expect_status={ImageStatus.QUEUED})
            work.commit()
        time.sleep(0.05)

    def leave(self, chance: random.Random) -> None:
        driver = self._world.stores.get(chance.choice(["fast", "slow"])).driver
        assert isinstance(driver, MemoryStore)
        stray(driver)
        time.sleep(0.01)

    def remove(self, chance: random.Random) -> None:
        for one in self._world.stores:
            for _ in remove_all(self._world, one, NONE, per_second=1e6):
                continue

    def _go_on(self, deed: Callable[[random.Random], None], chance: random.Random) -> None:
        while time.monotonic() < self._until:
            try:
                deed(chance)
            except (GlancekitError, IndexError):  # another thread was faster; nothing to choose
                continue
            except BaseException as error:
                self.failures.append(error)
                return


def active_images(world: World) -> list[Image]:
    with world.metadata.unit_of_work(read_only=True) as work:
        found = work.images.walk(limit=100_000)
    return [one for one in found if one.status is ImageStatus.ACTIVE and one.locations]


def test_nothing_that_an_image_points_to_goes_while_all_happens_at_once(
    world: World, member: Identity, store: FaultyStore, second: MemoryStore
) -> None:
    rush = Rush(world, member)
    rush.run()
    assert not rush.failures
    kept = active_images(world)
    assert len(kept) > 10
    handed_over = 0
    for image in kept:
        (place,) = image.locations
        driver, name = (store if place.store == "fast" else second), place.url.rpartition("/")[2]
        assert driver.blobs.get(name) == name.encode() * 2
        handed_over += name != image.id
    assert handed_over
    assert len(events(world, "store.orphan.removed", limit=100_000)) > 10
    assert found(world, age=NONE) == found(world, "slow", age=NONE) == []
