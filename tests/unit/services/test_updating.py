# SPDX-License-Identifier: Apache-2.0
"""Records are brought up to date, no change of anybody is lost, and nothing is done twice."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import ImageNotFound, StoreDenied, StoreUnavailable
from glancekit.core.model.changes import Change, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import TaskStatus, TaskType
from glancekit.core.stores import Store, Stores
from glancekit.services import images
from glancekit.services.builtins import updater
from glancekit.services.importing.records import LOCK
from glancekit.services.keeping.copying import copy_to
from glancekit.services.updating.digests import DIGESTS, find_out
from glancekit.services.updating.formats import DETECTED, FORMATS, PROBLEM
from glancekit.services.updating.lifecycle import LIFECYCLE, moment_of
from glancekit.services.updating.rounds import Duty, explain, go_round
from glancekit.services.updating.stores import STORE_IDS
from glancekit.services.world import Updating, World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.memory_store import MemoryStore

MD5, SHA512 = hashlib.md5(b"data").hexdigest(), hashlib.sha512(b"data").hexdigest()
YESTERDAY = (now() - timedelta(days=1)).isoformat()
TOMORROW = (now() + timedelta(days=1)).date().isoformat()
ALL = Updating(lifecycle=("hide", "deactivate", "delete"))
DUTIES = [DIGESTS, FORMATS, STORE_IDS, LIFECYCLE]


def change(world: World, image_id: str, **facts: Any) -> Image:
    """Change a record as nobody may who comes by the API."""
    with world.metadata.unit_of_work() as work:
        image = work.images.get(image_id)
        saved = work.images.save(replace(image, **facts), expect_status={image.status})
        work.commit()
    return saved


def show(world: World, image_id: str) -> Image:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image_id)


def events(world: World, image_id: str) -> list[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        found = work.events.after(0, limit=1000)
    return [event.type for event in found if event.subject == image_id]


def tasks(world: World, image_id: str) -> list[TaskStatus]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [task.status for task in work.tasks.of_image(image_id)]


def rot(world: World, store: MemoryStore, image: Image) -> None:
    """Let the copy in store fast have other bytes, and an audit have found that."""
    (key,) = store.blobs
    store.blobs[key] = bytes(len(store.blobs[key]))
    (copy,) = [one for one in show(world, image.id).locations if one.store == "fast"]
    with world.metadata.unit_of_work() as work:
        found = replace(copy, audited_at=now(), finding=Finding.BAD, reason="it is not right")
        work.locations.note(found, since=copy.audited_at)
        work.commit()


# -- digests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [None, MD5])
def test_digests_that_nobody_knows_are_found_out(
    world: World, active: Image, known: str | None
) -> None:
    change(world, active.id, checksum=known, os_hash_algo=None, os_hash_value=None)
    assert "its data in store fast will be read" in next(explain(world, DIGESTS))
    find_out(world)
    image = show(world, active.id)
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (MD5, "sha512", SHA512)
    assert image.status is ImageStatus.ACTIVE
    assert events(world, active.id)[-1] == "image.update"
    assert tasks(world, active.id) == [TaskStatus.SUCCESS]
    assert list(explain(world, DIGESTS)) == []


def test_a_missing_checksum_is_found_out_beside_the_digest_that_is_known(
    world: World, active: Image
) -> None:
    digest = hashlib.sha256(b"data").hexdigest()
    change(world, active.id, checksum=None, os_hash_algo="sha256", os_hash_value=digest)
    find_out(world)
    image = show(world, active.id)
    assert (image.checksum, image.os_hash_algo, image.os_hash_value) == (MD5, "sha256", digest)


@pytest.mark.parametrize(
    "known",
    [
        {"checksum": "0" * 32, "os_hash_algo": None, "os_hash_value": None},
        {"checksum": None, "os_hash_algo": "sha512", "os_hash_value": "0" * 128},
    ],
)
def test_data_that_is_not_what_is_known_of_it_gets_no_digests(
    world: World, active: Image, known: dict[str, Any]
) -> None:
    change(world, active.id, **known)
    find_out(world)
    find_out(world)
    image = show(world, active.id)
    assert {name: getattr(image, name) for name in known} == known
    assert tasks(world, active.id) == [TaskStatus.FAILURE]


def test_digests_are_those_of_a_copy_that_no_audit_found_bad(
    world: World, active: Image, store: FaultyStore, second: MemoryStore
) -> None:
    copy_to(world, active.id, "slow")
    change(world, active.id, os_hash_value=None)
    rot(world, store, active)
    assert "its data in store slow will be read" in next(explain(world, DIGESTS))
    find_out(world)
    assert show(world, active.id).os_hash_value == SHA512
    assert tasks(world, active.id) == [TaskStatus.SUCCESS]


@pytest.mark.parametrize("duty", [DIGESTS, FORMATS], ids=lambda duty: duty.name)
def test_data_of_which_no_good_copy_is_left_tells_nothing(
    world: World, active: Image, store: FaultyStore, duty: Duty
) -> None:
    before = change(world, active.id, os_hash_value=None, virtual_size=None)
    rot(world, store, active)
    assert list(explain(world, duty)) == []
    go_round(world, duty)
    image = show(world, active.id)
    assert replace(image, locations=before.locations) == before
    assert tasks(world, active.id) == []


def test_what_cannot_be_read_now_is_read_later(
    world: World, active: Image, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(world, active.id, os_hash_value=None)
    store.fail("open", StoreUnavailable("away"))
    find_out(world)
    assert tasks(world, active.id) == [TaskStatus.PROCESSING]
    store.heal()
    monkeypatch.setattr("glancekit.services.digests.PAUSE", timedelta(0))
    find_out(world)
    assert show(world, active.id).os_hash_value == SHA512
    assert tasks(world, active.id) == [TaskStatus.SUCCESS]


def test_what_callers_wait_for_does_not_wait_for_what_nobody_asked_for(
    world: World, active: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(world, active.id, os_hash_value=None)
    go_round(world, DIGESTS)
    from glancekit.services.digests import go_on

    assert go_on(world) == 0
    assert go_on(world, own=True) == 1


def test_nothing_is_read_where_the_operator_wants_no_digests(world: World, active: Image) -> None:
    change(world, active.id, os_hash_value=None)
    careless = replace(world, settings=replace(world.settings, do_secure_hash=False))
    find_out(careless)
    assert tasks(world, active.id) == []


def test_data_is_read_no_faster_than_is_allowed(world: World, active: Image) -> None:
    change(world, active.id, os_hash_value=None)
    began = now()
    find_out(replace(world, updating=Updating(bytes_per_second=8)))
    assert now() - began >= timedelta(seconds=0.45)
    assert show(world, active.id).os_hash_value == SHA512


# -- formats --------------------------------------------------------------------------------------


def qcow2(size: int, *, backing: bool = False) -> bytes:
    """Return the head of a disk of so many bytes, as qemu-img writes it."""
    at, length = (512, 5) if backing else (0, 0)
    fields = (b"QFI\xfb", 3, at, length, 16, size, 0, 1, 196608, 65536, 1, 1, 0, 0)
    head = struct.pack(">4sIQIIQIIQQIIQQ", *fields) + bytes(16) + struct.pack(">II", 4, 112)
    return head.ljust(512, b"\0") + b"other".ljust(512, b"\0")


def holding(world: World, store: MemoryStore, image: Image, content: bytes, **facts: Any) -> None:
    """Let an image have other data than it came with, which nobody has looked into."""
    (key,) = store.blobs
    store.blobs[key] = content
    change(world, image.id, size=len(content), virtual_size=None, **facts)


def test_how_large_a_disk_is_is_read_off_its_head(
    world: World, active: Image, store: FaultyStore
) -> None:
    holding(world, store, active, qcow2(1 << 33), disk_format="qcow2")
    assert go_round(world, FORMATS).changed == 1
    image = show(world, active.id)
    assert (image.virtual_size, image.disk_format) == (1 << 33, "qcow2")
    assert DETECTED not in image.properties
    assert go_round(world, FORMATS).changed == 0


def test_a_raw_disk_is_as_large_as_it_is(world: World, active: Image) -> None:
    change(world, active.id, virtual_size=None)
    go_round(world, FORMATS)
    assert show(world, active.id).virtual_size == 4


@pytest.mark.parametrize(
    ("declared", "content"), [("raw", qcow2(1 << 20)), ("vhdx", qcow2(1 << 20))]
)
def test_data_of_another_format_is_told_and_left_alone(
    world: World, active: Image, store: FaultyStore, declared: str, content: bytes
) -> None:
    holding(world, store, active, content, disk_format=declared)
    assert go_round(world, FORMATS).changed == 1
    image = show(world, active.id)
    assert (image.disk_format, image.virtual_size) == (declared, None)
    assert image.properties[DETECTED] == "qcow2"
    assert events(world, active.id)[-1] == "image.update"
    assert go_round(world, FORMATS).changed == 0


def test_the_operator_may_have_the_format_corrected(
    world: World, active: Image, store: FaultyStore
) -> None:
    holding(world, store, active, qcow2(1 << 20), disk_format="vmdk")
    correcting = replace(world, updating=Updating(correct_disk_format=True))
    go_round(correcting, FORMATS)
    go_round(correcting, FORMATS)
    image = show(world, active.id)
    assert (image.disk_format, image.virtual_size) == ("qcow2", 1 << 20)
    assert DETECTED not in image.properties


def test_what_an_image_is_a_bad_copy_does_not_tell(
    world: World, active: Image, store: FaultyStore
) -> None:
    """A copy that rotted to zeros would make a raw disk of a qcow2."""
    holding(world, store, active, qcow2(1 << 20), disk_format="qcow2")
    change(world, active.id, checksum=None, os_hash_value=None)
    copy_to(world, active.id, "slow")
    rot(world, store, active)
    go_round(replace(world, updating=Updating(correct_disk_format=True)), FORMATS)
    image = show(world, active.id)
    assert (image.disk_format, image.virtual_size) == ("qcow2", 1 << 20)
    assert DETECTED not in image.properties


def test_data_that_is_not_safe_is_told(world: World, active: Image, store: FaultyStore) -> None:
    holding(world, store, active, qcow2(1 << 20, backing=True), disk_format="qcow2")
    go_round(world, FORMATS)
    image = show(world, active.id)
    assert "not safe" in image.properties[PROBLEM]
    assert image.virtual_size is None
    assert go_round(world, FORMATS).changed == 0


# -- store ids ------------------------------------------------------------------------------------


def renamed(world: World, *stores: Store) -> World:
    return replace(world, stores=Stores(stores, stores[0].id))


def test_a_copy_follows_its_store_to_its_new_name(
    world: World, active: Image, store: FaultyStore, second: MemoryStore
) -> None:
    world = renamed(world, Store("quick", store), Store("slow", second))
    assert "no store is called fast" in next(explain(world, STORE_IDS))
    assert go_round(world, STORE_IDS).changed == 1
    (copy,) = show(world, active.id).locations
    assert (copy.store, copy.url) == ("quick", active.locations[0].url)
    assert events(world, active.id)[-1] == "image.update"
    assert list(explain(world, STORE_IDS)) == []
    with world.metadata.unit_of_work(read_only=True) as work:
        assert work.quotas.usage("p1").image_bytes == 4


def test_a_copy_that_two_stores_have_stays_where_it_is_noted(
    world: World, active: Image, store: FaultyStore, second: MemoryStore
) -> None:
    second.blobs.update(store.blobs)
    world = renamed(world, Store("quick", store), Store("slow", second))
    assert go_round(world, STORE_IDS).changed == 0
    assert show(world, active.id).locations == active.locations


def test_a_store_that_knows_the_copy_for_none_of_its_own_is_no_hindrance(
    world: World, active: Image, store: FaultyStore
) -> None:
    other = FaultyStore(name="slow")
    other.fail("size", StoreDenied("none of this store's"))
    world = renamed(world, Store("quick", store), Store("slow", other))
    assert go_round(world, STORE_IDS).changed == 1
    (copy,) = show(world, active.id).locations
    assert copy.store == "quick"


def test_a_copy_stays_while_a_store_that_may_have_it_does_not_answer(
    world: World, active: Image, store: FaultyStore
) -> None:
    other = FaultyStore(name="slow")
    other.fail("size", StoreUnavailable("away"))
    world = renamed(world, Store("quick", store), Store("slow", other))
    tally = go_round(world, STORE_IDS)
    assert (tally.changed, tally.failed) == (0, 1)
    assert show(world, active.id).locations == active.locations


def test_data_of_another_size_is_not_taken_for_the_copy(
    world: World, active: Image, store: FaultyStore
) -> None:
    (key,) = store.blobs
    store.blobs[key] = b"longer"
    world = renamed(world, Store("quick", store))
    assert go_round(world, STORE_IDS).changed == 0


# -- lifecycle ------------------------------------------------------------------------------------


def dated(world: World, image: Image, **dates: str) -> Image:
    properties = {f"lifecycle_{deed}_at": date for deed, date in dates.items()}
    return change(world, image.id, properties=properties)


@pytest.mark.parametrize(
    "date",
    [
        # The name of a test is the same in every process and at every time.
        pytest.param(YESTERDAY, id="yesterday"),
        "2020-01-01",
        " 2020-01-01T00:00:00Z ",
    ],
)
def test_what_a_date_asks_for_is_done_when_it_has_come(
    world: World, active: Image, store: FaultyStore, date: str
) -> None:
    world = replace(world, updating=ALL)
    dated(world, active, hide=date, deactivate=date, delete=TOMORROW)
    assert next(explain(world, LIFECYCLE)).startswith(f"image {active.id}: deactivate")
    go_round(world, LIFECYCLE)
    go_round(world, LIFECYCLE)
    image = show(world, active.id)
    assert (image.status, image.os_hidden) == (ImageStatus.DEACTIVATED, True)
    assert go_round(world, LIFECYCLE).changed == 0
    dated(world, active, delete=date)
    assert go_round(world, LIFECYCLE).changed == 1
    with pytest.raises(ImageNotFound):
        show(world, active.id)
    assert store.blobs == {}
    assert events(world, active.id)[-3:] == ["image.update", "image.update", "image.delete"]


@pytest.mark.parametrize("date", [pytest.param(TOMORROW, id="tomorrow"), "soon", ""])
def test_a_date_that_has_not_come_or_is_none_does_nothing(
    world: World, active: Image, date: str
) -> None:
    world = replace(world, updating=ALL)
    before = dated(world, active, hide=date, deactivate=date, delete=date)
    go_round(world, LIFECYCLE)
    assert show(world, active.id) == before


def test_nothing_is_done_without_the_operator_or_to_protected_images(
    world: World, active: Image
) -> None:
    before = dated(world, active, hide=YESTERDAY, deactivate=YESTERDAY, delete=YESTERDAY)
    go_round(world, LIFECYCLE)
    assert show(world, active.id) == before
    before = change(world, active.id, protected=True)
    go_round(replace(world, updating=ALL), LIFECYCLE)
    assert show(world, active.id) == before


@pytest.mark.parametrize("deed", ["hide", "deactivate", "delete"])
def test_a_date_that_its_owner_put_off_meanwhile_counts(
    world: World, member: Identity, active: Image, deed: str
) -> None:
    world = replace(world, updating=ALL)
    looked_at = dated(world, active, **{deed: YESTERDAY})
    later = Change(Op.REPLACE, f"lifecycle_{deed}_at", TOMORROW)
    put_off = images.update(world, member, active.id, [later])
    assert LIFECYCLE.due(world, looked_at) is not None
    assert not LIFECYCLE.do(world, looked_at)
    assert show(world, active.id).status is ImageStatus.ACTIVE
    assert show(world, active.id).os_hidden is False
    assert show(world, active.id).properties == put_off.properties


def test_a_day_begins_in_utc() -> None:
    midnight = moment_of("2026-03-01")
    assert midnight is not None
    assert midnight.isoformat() == "2026-03-01T00:00:00+00:00"
    assert moment_of("2026-03-01T01:00:00+01:00") == midnight
    assert moment_of("31.12.2026") is None


# -- all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("duty", DUTIES, ids=lambda duty: duty.name)
def test_an_image_that_an_import_holds_is_left_to_it(
    world: World, active: Image, store: FaultyStore, duty: Duty
) -> None:
    world = renamed(replace(world, updating=ALL), Store("quick", store))
    asks = {"lifecycle_delete_at": YESTERDAY}
    facts = {"os_hash_value": None, "virtual_size": None}
    before = change(world, active.id, properties={**asks, LOCK: "a task"}, **facts)
    assert list(explain(world, duty)) == []
    go_round(world, duty)
    free = change(world, active.id, properties=asks)
    if duty is not STORE_IDS:
        free = change(world, active.id, properties=asks)
        with world.metadata.unit_of_work() as work:  # under its store's name, for who reads it
            (copy,) = work.images.get(active.id).locations
            work.locations.remove(copy.id or 0)
            work.locations.add(replace(copy, store="quick", id=None))
            work.commit()
    assert before.locations == active.locations
    assert duty.reason(world, show(world, free.id)) is not None


@pytest.mark.parametrize("duty", DUTIES, ids=lambda duty: duty.name)
def test_a_lock_that_was_taken_meanwhile_counts(
    world: World, active: Image, store: FaultyStore, duty: Duty
) -> None:
    quick = renamed(replace(world, updating=ALL), Store("quick", store))
    world = quick if duty is STORE_IDS else replace(world, updating=ALL)
    asks = {"lifecycle_delete_at": YESTERDAY}
    looked_at = change(world, active.id, properties=asks, os_hash_value=None, virtual_size=None)
    held = change(world, active.id, properties={**asks, LOCK: "a task"})
    assert duty.due(world, looked_at) is not None
    assert not duty.do(world, looked_at)
    assert show(world, active.id) == held
    assert tasks(world, active.id) == []


@pytest.fixture
def many(world: World) -> list[str]:
    ids = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(7)]
    with world.metadata.unit_of_work() as work:
        for image_id in ids:
            work.images.add(Image(id=image_id, owner="p1", status=ImageStatus.ACTIVE))
        work.commit()
    return ids


def a_duty(do: Callable[[World, Image], bool]) -> Duty:
    return Duty(name="test", due=lambda world, image: "it is due", do=do)


def test_rounds_go_on_where_the_last_one_stopped(world: World, many: list[str]) -> None:
    seen: list[str] = []
    duty = a_duty(lambda _, image: bool(seen.append(image.id)))
    world = replace(world, updating=Updating(images_per_round=3))
    assert [go_round(world, duty).looked for _ in range(4)] == [3, 3, 1, 3]
    assert seen == many + many[:3]


def test_a_round_that_is_cut_off_is_gone_on_with(
    world: World, many: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glancekit.services.updating.rounds.BATCH", 3)
    seen: list[str] = []

    def do(_: World, image: Image) -> bool:
        seen.append(image.id)
        if len(seen) == 5:
            raise KeyboardInterrupt
        return True

    with pytest.raises(KeyboardInterrupt):
        go_round(world, a_duty(do))
    tally = go_round(world, a_duty(do))
    assert seen == many[:5] + many[3:]
    assert str(tally) == "looked at 4 images, brought 4 up to date"


class Killed(BaseException):
    """The process is gone."""


class MortalMetadata(MemoryMetadata):
    """Records of a process that is killed just before or just after its n-th commit."""

    def __init__(self, records: MemoryMetadata, *, before: int = 0, after: int = 0) -> None:
        super().__init__()
        self._records, self._before, self._after = records, before, after
        self._commits = 0

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        work = self._records.unit_of_work(read_only=read_only)
        commit = work.commit

        def commit_or_die() -> None:
            self._commits += 1
            if self._commits == self._before:
                raise Killed
            commit()
            if self._commits == self._after:
                raise Killed

        work.commit = commit_or_die  # type: ignore[method-assign]
        return work


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("duty", DUTIES, ids=lambda duty: duty.name)
def test_a_kill_at_any_commit_is_made_up_for(
    world: World, active: Image, store: FaultyStore, duty: Duty, moment: str
) -> None:
    quick = renamed(replace(world, updating=ALL), Store("quick", store))
    world = quick if duty is STORE_IDS else replace(world, updating=ALL)
    asks = {"lifecycle_deactivate_at": YESTERDAY}
    change(world, active.id, properties=asks, os_hash_value=None, virtual_size=None)
    for count in itertools.count(1):
        mortal = MortalMetadata(world.metadata, **{moment: count})
        try:
            go_round(replace(world, metadata=mortal), duty)
        except Killed:
            continue
        break
    assert count > 1
    find_out(world)  # finishes a task that was written down, and begins none beside it
    assert duty is DIGESTS or duty.reason(world, show(world, active.id)) is None
    assert tasks(world, active.id) == [TaskStatus.SUCCESS]
    image = show(world, active.id)
    assert image.os_hash_value == SHA512
    told = events(world, active.id).count("image.update")
    assert told == (1 if duty is DIGESTS else 2)  # once for the duty, once for the digests


def test_a_store_that_fails_costs_its_images_and_no_others(
    world: World, active: Image, store: FaultyStore, many: list[str]
) -> None:
    with world.metadata.unit_of_work() as work:
        for image_id in many:
            image = work.images.get(image_id)
            facts = {"size": 4, "disk_format": "raw", "container_format": "bare"}
            work.images.save(replace(image, **facts), expect_status={image.status})
            work.locations.add(Location(url="memory://gone", store="slow", image_id=image_id))
        work.commit()
    change(world, active.id, virtual_size=None)
    tally = go_round(world, FORMATS)
    assert (tally.looked, tally.changed, tally.failed) == (8, 1, 7)
    assert show(world, active.id).virtual_size == 4


def test_each_duty_is_a_periodic_task_that_explains_itself(world: World, active: Image) -> None:
    change(world, active.id, os_hash_value=None, virtual_size=None)
    offered = {task.name: task for task in updater.register_periodic_tasks(world)}
    assert list(offered) == [
        *(f"updater: {duty.name}" for duty in DUTIES),
        "updater: usage",
    ]
    told = {name: list(task.explain()) for name, task in offered.items() if task.explain}
    assert [name for name, sentences in told.items() if sentences] == [
        "updater: digests",
        "updater: formats",
    ]
    for task in offered.values():
        assert str(task.run())
    image = show(world, active.id)
    assert (image.os_hash_value, image.virtual_size) == (SHA512, 4)
    with world.metadata.unit_of_work(read_only=True) as work:
        (kind,) = {task.type for task in work.tasks.of_image(active.id)}
        assert kind is TaskType.LOCATION_IMPORT
