# SPDX-License-Identifier: Apache-2.0
"""Audits and repairs: what is judged how, what is left alone, what a crash or a race leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.errors import (
    BlobExists,
    BlobNotFound,
    Conflict,
    ImageDamaged,
    MetadataUnavailable,
    StoreDenied,
    StoreFailed,
    StoreUnavailable,
    Unavailable,
)
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.core.throttle import Throttle
from glancekit.services import data, images, stores
from glancekit.services.keeping import auditing, copying, healing
from glancekit.services.keeping.auditing import Auditor
from glancekit.services.keeping.examining import RETRY, examine
from glancekit.services.keeping.healing import SUSPICIOUS, heal
from glancekit.services.keeping.options import Auditing
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_store import MemoryStore

BYTES = b"data"
WRONG = b"dat4"


@pytest.fixture
def always(world: World) -> World:
    """A world in which every copy is due in every round."""
    return replace(world, auditing=Auditing(cycle=timedelta(0)))


@pytest.fixture
def image(always: World, active: Image) -> Image:
    """An active image with a copy in each of two stores."""
    copying.copy_to(always, active.id, "slow")
    return read(always, active.id)


def read(world: World, image_id: str) -> Image:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image_id)


def copy_in(world: World, image: Image, store: str) -> Location:
    return next(one for one in read(world, image.id).locations if one.store == store)


def findings(world: World, image: Image) -> dict[str, Finding | None]:
    return {one.store: one.finding for one in read(world, image.id).locations}


def events(world: World, kind: str) -> list[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        found = work.events.after(0, limit=1000)
    return [
        event.payload.get("copy", {}).get("store", "") for event in found if event.type == kind
    ]


def during(driver: FaultyStore, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], None]) -> None:
    """Do something while a copy is being read: after it was opened, once."""
    real = driver.open
    done = []

    def open_then(location: Location) -> ByteStream:
        stream = real(location)
        if not done:
            done.append(True)
            deed()
        return stream

    monkeypatch.setattr(driver, "open", open_then)


# -- judging


def test_a_flipped_byte_in_one_copy_of_two_is_found_and_repaired_in_one_round(
    always: World, image: Image, store: FaultyStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.blobs[image.id] = WRONG
    tally = Auditor(always).run()
    assert str(tally) == "1 bad, 1 good, 1 repaired"
    assert store.blobs[image.id] == BYTES
    copy = copy_in(always, image, "fast")
    assert (copy.finding, copy.holder, copy.reason) == (Finding.GOOD, None, "")
    assert copy.verified_at is not None
    assert copy.verified_at > now() - timedelta(minutes=1)
    assert events(always, "image.copy.lost") == ["fast"]
    assert events(always, "image.copy.repaired") == ["fast"]
    assert events(always, "image.damaged") == []
    told = [record.message for record in caplog.records if image.id in record.message]
    assert any("store fast: the copy is bad" in line for line in told)
    assert any("store fast" in line and "replaced by a good one" in line for line in told)


def test_a_missing_copy_and_one_of_another_size_are_repaired(
    always: World, image: Image, store: FaultyStore, second: MemoryStore
) -> None:
    del store.blobs[image.id]
    Auditor(always).run()
    second.blobs[image.id] = BYTES + b"more"
    Auditor(always).run()
    assert store.blobs[image.id] == second.blobs[image.id] == BYTES
    assert events(always, "image.copy.repaired") == ["fast", "slow"]


def test_without_a_good_copy_the_image_is_damaged_and_not_served(
    always: World, active: Image, member: Identity, store: FaultyStore
) -> None:
    store.blobs[active.id] = WRONG
    tally = Auditor(always).run()
    assert str(tally) == "1 bad, 1 not repaired"
    assert read(always, active.id).is_damaged
    assert events(always, "image.damaged") == [""]
    with pytest.raises(ImageDamaged):
        data.download(always, member, active.id, None)
    serving = replace(always, auditing=replace(always.auditing, serve_damaged=True))
    found = data.download(serving, member, active.id, None)
    assert found.stream is not None
    assert b"".join(found.stream) == WRONG
    store.blobs[active.id] = BYTES
    Auditor(always).run()
    assert not read(always, active.id).is_damaged
    assert events(always, "image.recovered") == [""]


def test_a_lost_copy_is_passed_over(
    always: World, image: Image, member: Identity, store: FaultyStore
) -> None:
    store.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "fast"))
    found = data.download(always, member, image.id, None)
    assert found.stream is not None
    assert b"".join(found.stream) == BYTES


@pytest.mark.parametrize("error", [StoreUnavailable("away"), BlobNotFound(), StoreFailed("odd")])
def test_a_store_that_is_away_loses_nothing(
    always: World, image: Image, store: FaultyStore, error: Exception
) -> None:
    """What it says of its copies means nothing while it does not work."""
    before = copy_in(always, image, "fast").audited_at
    store.fail("open", error)
    store.fail("check", StoreUnavailable("away"))
    assert str(Auditor(always).run()) == "1 not judged, 1 good"
    assert copy_in(always, image, "fast").audited_at == before
    store.heal()
    assert str(Auditor(always).run()) == "2 good"


def long_due(world: World, copy: Location) -> Location:
    """Let a copy have been looked at two cycles ago."""
    at = now() - 2 * world.auditing.cycle
    with world.metadata.unit_of_work() as work:
        work.locations.note(replace(copy, audited_at=at), since=copy.audited_at)
        work.commit()
    return replace(copy, audited_at=at)


def refuse(
    driver: FaultyStore, monkeypatch: pytest.MonkeyPatch, image: Image, error: Exception
) -> None:
    """Let a store give all but one of its images."""
    real = driver.open

    def open_others(location: Location) -> ByteStream:
        if location.image_id == image.id:
            raise error
        return real(location)

    monkeypatch.setattr(driver, "open", open_others)


@pytest.mark.parametrize("error", [StoreDenied("403"), StoreUnavailable("its server is down")])
def test_a_copy_that_cannot_be_judged_is_no_hindrance_to_the_others(
    world: World,
    member: Identity,
    store: FaultyStore,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    made = []
    for _ in range(5):
        new = images.create(world, member, NewImage(disk_format="raw", container_format="bare"))
        source = IteratorStream(iter([BYTES]))
        made.append(data.upload(world, member, new.id, source, size=4, store="fast"))
    for image in made:
        long_due(world, copy_in(world, image, "fast"))
    refuse(store, monkeypatch, made[0], error)
    store.blobs[made[3].id] = WRONG
    assert str(Auditor(world).run()) == "1 not judged, 3 good, 1 bad, 1 not repaired"
    assert findings(world, made[3]) == {"fast": Finding.BAD}
    refused = copy_in(world, made[0], "fast")
    assert (refused.finding, refused.verified_at) == (None, None)
    assert refused.audited_at is not None
    again = refused.audited_at + world.auditing.cycle
    assert timedelta(0) < again - now() <= RETRY
    assert "not judged" not in str(Auditor(world).run())


def test_a_copy_that_is_not_due_is_not_read_the_sooner_for_being_refused(
    world: World, active: Image, store: FaultyStore
) -> None:
    before = copy_in(world, active, "fast")
    store.fail("open", StoreDenied("403"))
    assert examine(world, before).finding is None
    assert copy_in(world, active, "fast").audited_at == before.audited_at


def test_what_cannot_be_read_twice_is_bad(
    always: World, image: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "RETRY", timedelta(0))
    store.fail("open", StoreFailed("Input/output error"))
    assert examine(always, copy_in(always, image, "fast")).finding is Finding.UNREADABLE
    assert examine(always, copy_in(always, image, "fast")).finding is Finding.BAD
    assert "Input/output error" in copy_in(always, image, "fast").reason
    store.heal()
    Auditor(always).run()
    assert findings(always, image) == {"fast": Finding.GOOD, "slow": Finding.GOOD}


def test_what_came_wrong_once_is_read_again(
    always: World, image: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs[image.id] = WRONG

    def mend() -> None:
        store.blobs[image.id] = BYTES

    during(store, monkeypatch, mend)
    assert examine(always, copy_in(always, image, "fast")).finding is Finding.GOOD


# -- what happens meanwhile


def test_a_copy_that_goes_or_changes_while_it_is_read_is_not_judged(
    always: World,
    image: Image,
    member: Identity,
    store: FaultyStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.blobs[image.id] = WRONG
    copy = copy_in(always, image, "fast")
    during(store, monkeypatch, lambda: images.delete(always, member, image.id))
    assert examine(always, copy).finding is None
    assert events(always, "image.copy.lost") == []
    assert examine(always, copy).reason == "it was changed or removed meanwhile"


def test_of_two_audits_at_once_one_counts(
    always: World, image: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs[image.id] = WRONG
    copy = copy_in(always, image, "fast")

    def repaired() -> None:
        store.blobs[image.id] = WRONG
        examine(always, copy)
        heal(always, copy_in(always, image, "fast"))
        store.blobs[image.id] = BYTES

    during(store, monkeypatch, repaired)
    assert examine(always, copy).finding in (None, Finding.GOOD)
    assert findings(always, image)["fast"] is Finding.GOOD


def test_an_image_deleted_while_its_copy_is_repaired_leaves_nothing(
    always: World,
    image: Image,
    member: Identity,
    store: FaultyStore,
    second: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "fast"))
    real = store.write

    def write(image_id: str, source: ByteStream, size: int | None) -> Location:
        images.delete(always, member, image.id)
        return real(image_id, source, size)

    monkeypatch.setattr(store, "write", write)
    outcome = heal(always, copy_in(always, image, "fast"))
    assert not outcome.is_repaired
    recover(always)
    assert (store.blobs, second.blobs) == ({}, {})
    with always.metadata.unit_of_work(read_only=True) as work:
        assert list(work.locations.of_image(image.id)) == []


@pytest.mark.parametrize("step", ["delete", "write"])
def test_a_repair_that_was_cut_off_is_begun_anew(
    always: World, image: Image, store: FaultyStore, member: Identity, step: str
) -> None:
    """As a killed process leaves it: its lease is gone, nothing was undone."""
    store.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "fast"))
    lost = copy_in(always, image, "fast")
    held = replace(lost, holder="another/1/dead", url=lost.url if step == "delete" else "")
    if step == "write":
        store.blobs[image.id] = BYTES[:2]
    with always.metadata.unit_of_work() as work:
        work.locations.save(held, expect_status=LocationStatus.ACTIVE)
        work.commit()
    found = data.download(always, member, image.id, None)
    assert found.stream is not None
    assert b"".join(found.stream) == BYTES
    assert str(Auditor(always).run()).endswith("1 repaired")
    assert store.blobs[image.id] == BYTES
    assert findings(always, image) == {"fast": Finding.GOOD, "slow": Finding.GOOD}


def test_nobody_repairs_what_somebody_alive_is_at(
    always: World, image: Image, store: FaultyStore
) -> None:
    store.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "fast"))
    lost = copy_in(always, image, "fast")
    with always.metadata.unit_of_work() as work:
        work.leases.renew("other", now() + timedelta(minutes=1))
        work.locations.save(replace(lost, holder="other"), expect_status=LocationStatus.ACTIVE)
        work.commit()
    assert heal(always, lost).reason == "it is being repaired"
    assert store.blobs[image.id] == WRONG


# -- repairs that cannot be


def test_a_bad_copy_is_kept_until_another_was_read_and_found_good(
    always: World, image: Image, store: FaultyStore, second: MemoryStore
) -> None:
    """Of two bad copies people may still make a good one."""
    store.blobs[image.id], second.blobs[image.id] = WRONG, b"d4ta"
    with always.metadata.unit_of_work() as work:  # what was verified long ago is not believed
        old = copy_in(always, image, "slow")
        long_ago = now() - 2 * copying.FRESH
        work.locations.note(
            replace(old, audited_at=long_ago, verified_at=long_ago), since=old.audited_at
        )
        work.commit()
    examine(always, copy_in(always, image, "fast"))
    assert not heal(always, copy_in(always, image, "fast")).is_repaired
    assert (store.blobs[image.id], second.blobs[image.id]) == (WRONG, b"d4ta")
    assert read(always, image.id).is_damaged


def test_a_store_that_refuses_keeps_the_record_for_later(
    always: World, image: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs[image.id] = WRONG
    store.fail("write", StoreUnavailable("away"))
    auditor = Auditor(always)
    assert str(auditor.run()) == "1 bad, 1 good, 1 not repaired"
    copy = copy_in(always, image, "fast")
    assert (copy.finding, copy.url, copy.holder) == (Finding.MISSING, "", None)
    store.heal()
    assert "repaired" not in str(auditor.run())  # it is left alone for a while
    monkeypatch.setattr(healing.time, "monotonic", lambda: 1e12)
    assert str(auditor.run()).endswith("1 repaired")
    assert store.blobs[image.id] == BYTES


def test_two_records_of_one_blob_do_not_lose_it(
    always: World, image: Image, store: FaultyStore
) -> None:
    store.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "fast"))
    with always.metadata.unit_of_work() as work:
        row = copy_in(always, image, "slow")
        same = replace(row, url=copy_in(always, image, "fast").url)
        work.locations.save(same, expect_status=LocationStatus.ACTIVE)
        work.commit()
    outcome = heal(always, copy_in(always, image, "fast"))
    assert "another record leads to the same bytes" in outcome.reason
    assert store.blobs[image.id] == WRONG


def test_a_store_that_lost_all_is_taken_to_be_wrong_itself(
    always: World, member: Identity, store: FaultyStore, second: MemoryStore
) -> None:
    """An empty mount point must not be filled by repairs."""
    made = []
    for _ in range(SUSPICIOUS):
        new = images.create(always, member, NewImage(disk_format="raw", container_format="bare"))
        source = IteratorStream(iter([BYTES]))
        made.append(data.upload(always, member, new.id, source, size=4, store="fast"))
        copying.copy_to(always, new.id, "slow")
    store.blobs.clear()
    assert str(Auditor(always).run()) == f"{SUSPICIOUS} missing, {SUSPICIOUS} good"
    assert store.blobs == {}
    store.blobs[made[0].id] = BYTES  # it is there after all: one copy turns up
    assert "repaired" in str(Auditor(always).run())
    assert store.blobs == second.blobs


# -- how much, and when


def test_only_what_is_due_is_read_the_longest_ago_first(
    world: World, active: Image, store: FaultyStore
) -> None:
    assert Auditor(world).run() is None  # it was made a moment ago
    old = copy_in(world, active, "fast")
    with world.metadata.unit_of_work() as work:
        long_ago = replace(old, audited_at=now() - timedelta(days=31))
        work.locations.note(long_ago, since=old.audited_at)
        work.commit()
    (sentence,) = Auditor(world).explain()
    assert active.id in sentence
    assert str(Auditor(world).run()) == "1 good"
    assert Auditor(world).run() is None


def test_a_stop_ends_the_reading_and_nothing_is_found(always: World, image: Image) -> None:
    stopping = threading.Event()
    stopping.set()
    stopped = replace(always.auditing, throttle=Throttle(0, stopping))
    before = copy_in(always, image, "fast")
    with pytest.raises(Unavailable):
        Auditor(replace(always, auditing=stopped)).run()
    assert copy_in(always, image, "fast").audited_at == before.audited_at


def test_bytes_per_second_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    stopping = threading.Event()

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return False

    monkeypatch.setattr(stopping, "wait", wait)
    throttle = Throttle(1000, stopping)
    for _ in range(4):
        throttle.feed(bytes(500))
    assert waited[-1] == pytest.approx(2.0, abs=0.2)


def test_a_copy_to_a_store_that_has_one_is_a_conflict(always: World, image: Image) -> None:
    with pytest.raises(Conflict):
        copying.copy_to(always, image.id, "slow")
    assert findings(always, image)["slow"] is Finding.GOOD


def test_a_copy_leaves_what_has_its_name(
    always: World, active: Image, second: MemoryStore
) -> None:
    second.blobs[active.id] = b"another's"
    with pytest.raises(BlobExists):
        copying.copy_to(always, active.id, "slow")
    assert second.blobs[active.id] == b"another's"
    with always.metadata.unit_of_work(read_only=True) as work:
        assert [row.store for row in work.locations.of_image(active.id)] == ["fast"]


def test_a_copy_that_was_never_begun_takes_nothing_back(
    always: World, active: Image, store: FaultyStore
) -> None:
    """The store has the image's own data under another id, as after it was renamed."""
    renamed = replace(always, stores=Stores([Store("ssd", store)], "ssd"))
    with pytest.raises(Conflict):
        copying.copy_to(renamed, active.id, "ssd")
    assert store.blobs[active.id] == BYTES
    twice = replace(always, stores=Stores([Store("fast", store), Store("ssd", store)], "fast"))
    store.fail("open", StoreUnavailable("away"))
    with pytest.raises(Conflict):
        copying.copy_to(twice, active.id, "ssd")
    assert store.blobs[active.id] == BYTES
    with always.metadata.unit_of_work(read_only=True) as work:
        assert [row.store for row in work.locations.of_image(active.id)] == ["fast"]


# -- a database that is away meanwhile


@pytest.fixture
def interrupted(
    always: World, second: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """The database is away from the end of the next write on; what is returned brings it back."""
    real, write = always.metadata.unit_of_work, second.write

    def away(*, read_only: bool = False) -> Any:
        raise MetadataUnavailable("restarting")

    def write_then(*given: Any) -> Any:
        written = write(*given)
        monkeypatch.setattr(always.metadata, "unit_of_work", away)
        return written

    monkeypatch.setattr(second, "write", write_then)

    def back() -> None:
        monkeypatch.setattr(always.metadata, "unit_of_work", real)
        monkeypatch.setattr(second, "write", write)
        always.lease._do_chores()

    yield back
    monkeypatch.undo()


def test_a_copy_that_meets_it_can_be_made_afterwards(
    always: World, active: Image, second: MemoryStore, interrupted: Callable[[], None]
) -> None:
    with pytest.raises(MetadataUnavailable):
        copying.copy_to(always, active.id, "slow")
    interrupted()
    assert not second.blobs
    copying.copy_to(always, active.id, "slow")
    assert findings(always, active)["slow"] is Finding.GOOD


def test_a_repair_that_meets_it_is_made_afterwards(
    always: World, image: Image, second: MemoryStore, interrupted: Callable[[], None]
) -> None:
    second.blobs[image.id] = WRONG
    examine(always, copy_in(always, image, "slow"))
    with pytest.raises(MetadataUnavailable):
        heal(always, copy_in(always, image, "slow"))
    interrupted()
    assert heal(always, copy_in(always, image, "slow")).is_repaired
    assert second.blobs[image.id] == BYTES


def test_a_copy_that_goes_meanwhile_goes_afterwards(
    always: World,
    admin: Identity,
    image: Image,
    second: MemoryStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, delete = always.metadata.unit_of_work, second.delete

    def away(*, read_only: bool = False) -> Any:
        raise MetadataUnavailable("restarting")

    def delete_then(location: Location) -> None:
        delete(location)
        monkeypatch.setattr(always.metadata, "unit_of_work", away)

    monkeypatch.setattr(second, "delete", delete_then)
    with pytest.raises(MetadataUnavailable):
        stores.delete_from(always, admin, "slow", image.id)
    monkeypatch.undo()
    assert always.metadata.unit_of_work == real
    always.lease._do_chores()
    recover(always)
    with always.metadata.unit_of_work(read_only=True) as work:
        assert [row.store for row in work.locations.of_image(image.id)] == ["fast"]
