# SPDX-License-Identifier: Apache-2.0
"""Imports from beginning to end, by a worker in this process, with memory drivers around it.

Killed workers are the business of tests/e2e.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from glancekit.core.contracts.importing import (
    ImportMethod,
    ImportStep,
    StagedImage,
    SupportsForecast,
)
from glancekit.core.errors import Conflict, SourceChanged, StoreUnavailable
from glancekit.core.lease import HOST
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskState, TaskStatus, TaskType
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import IteratorStream
from glancekit.flows.engine import Board, Worker
from glancekit.flows.options import FlowSettings
from glancekit.services import images, imports, legacy_tasks, parts
from glancekit.services.access import Access
from glancekit.services.importing.records import FAILED, GOING, LOCK, PLACE, job_of
from glancekit.services.importing.work import Work
from glancekit.services.imports import ImportRequest
from glancekit.services.parts import Part
from glancekit.services.recovery import clear_staging, recover
from glancekit.services.staging import DATA, PARTIAL, Staging
from glancekit.services.world import Importing, World
from glancekit.testing.faults import BrokenStream
from glancekit.testing.memory_store import MemoryStore

PATIENCE = 60.0

Run = Callable[[World, str], tuple[Image, Task]]


class Source(IteratorStream):
    """What comes of a URL."""

    def __init__(self, data: bytes, version: str | None) -> None:
        super().__init__(iter([data[at : at + 1000] for at in range(0, len(data), 1000)]))
        self.size: int | None = None
        self.version = version


class Web(ImportMethod):
    """A method whose source is held in memory; what it is asked for is kept."""

    api_level = 1

    def __init__(self) -> None:
        self.data = b"web" * 1000
        self.version = "1"
        self.offsets: list[int] = []
        self.callers: list[Identity] = []
        self.before_end: Callable[[], None] = lambda: None

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take all."""

    def open(self, image: Any, arguments: Any, *, caller: Any, fetched: Any) -> Any:
        """Go on where the fetch was."""
        if fetched is not None and fetched.version != self.version:
            raise SourceChanged(source=arguments["uri"])
        self.callers.append(caller)
        self.offsets.append(0 if fetched is None else fetched.size)
        self.before_end()
        return Source(self.data[self.offsets[-1] :], self.version)

    def describe(self, image: Image, arguments: Any, *, caller: Any) -> Image:
        """Say what the source is."""
        return replace(image, properties={**image.properties, "told": "by the source"})


class Upper(ImportStep):
    """A step that writes capitals, and says so."""

    api_level = 1

    def applies_to(self, staged: StagedImage) -> bool:
        """Only for data in small letters."""
        return staged.path.read_bytes().islower()

    def execute(self, staged: StagedImage, progress: Any) -> StagedImage:
        """Write the new file."""
        made = staged.path.with_name("upper")
        made.write_bytes(staged.path.read_bytes().upper())
        progress(1, 1)
        image = replace(staged.image, properties={**staged.image.properties, "case": "upper"})
        return replace(staged, image=image, path=made)

    def revert(self, staged: StagedImage) -> None:
        """Remove it."""
        staged.path.with_name("upper").unlink(missing_ok=True)


class KnowingUpper(Upper, SupportsForecast):
    """One that knows beforehand what it will do, and afterwards what came of it."""

    def __init__(self, digested: bytes) -> None:
        self._digested = digested

    def will_replace(self, image: Image) -> bool:
        """Say yes."""
        return True

    def execute(self, staged: StagedImage, progress: Any) -> StagedImage:
        """Write the new file, and hand on digests."""
        assert not (staged.path.parent / "receipt.json").exists(), "digested for nobody"
        assert not staged.digests
        found = {name: hashlib.new(name, self._digested).hexdigest() for name in ("md5", "sha512")}
        return replace(super().execute(staged, progress), digests=found)


class Hesitant(Upper, SupportsForecast):
    """One that does not do what it foresaw."""

    def will_replace(self, image: Image) -> bool:
        """Say yes."""
        return True

    def applies_to(self, staged: StagedImage) -> bool:
        """Say no."""
        return False


class GoingDown(Hesitant):
    """One on whose host the power fails once: the data are not what they were, and it is known."""

    def __init__(self) -> None:
        self._is_down = False

    def applies_to(self, staged: StagedImage) -> bool:
        """Lose the data."""
        if not self._is_down:
            self._is_down = True
            assert (staged.path.parent / "in-memory").read_text() == HOST
            (staged.path.parent / "in-memory").write_text("the same host before")
            staged.path.write_bytes(bytes(7))
        return False


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> FlowSettings:
    return FlowSettings(folder=tmp_path_factory.mktemp("flows"))


@pytest.fixture(scope="module")
def board(flows: FlowSettings) -> Iterator[Board]:
    opened = Board(flows)
    yield opened
    opened.close()


@pytest.fixture
def importing(world: World, web: Web, board: Board) -> World:
    """The world with all methods."""
    methods: dict[str, Any] = {"glance-direct": None, "copy-image": None, "web-download": web}
    return replace(world, importing=Importing(methods=methods, announce=board.post))


@pytest.fixture
def run(flows: FlowSettings) -> Iterator[Run]:
    """Run imports until those of an image have ended."""
    started = []

    def run_one(world: World, image_id: str) -> tuple[Image, Task]:
        worker = Worker(flows, Work(world, max_tries=3), holder=world.lease.holder)
        started.append(worker)
        worker.start()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            image, task = state(world, image_id)
            if task.status not in UNFINISHED and LOCK not in image.properties:
                break
            time.sleep(0.02)
        return image, task

    yield run_one
    for worker in started:
        assert worker.stop(PATIENCE)
        worker.close()


def state(world: World, image_id: str) -> tuple[Image, Task]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image_id), work.tasks.of_image(image_id)[-1]


def stage(world: World, caller: Identity, image: Image, data: bytes = b"data") -> None:
    imports.stage(world, caller, image.id, IteratorStream(iter([data])), size=None)


def begin(world: World, caller: Identity, image: Image, **asked: Any) -> Task:
    task = imports.begin(world, caller, image.id, ImportRequest(**asked))
    assert task is not None
    return task


def bytes_in(world: World, image: Image) -> dict[str, bytes]:
    found = {}
    for location in image.locations:
        with world.stores.get(location.store).open(location) as stream:
            found[location.store] = b"".join(stream)
    return found


def no_rows_but(world: World, image: Image) -> bool:
    with world.metadata.unit_of_work(read_only=True) as work:
        return len(work.locations.of_image(image.id)) == len(image.locations)


def test_staged_data_become_the_image(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    begin(importing, member, queued, method="glance-direct", stores=("fast", "slow"))
    image, task = run(importing, queued.id)
    assert (image.status, task.status, task.message) == ("active", "success", "")
    assert bytes_in(importing, image) == {"fast": b"data", "slow": b"data"}
    assert (image.size, image.virtual_size) == (4, 4)
    assert image.checksum == "8d777f385d3dfec8815d20f7496026dc"
    assert (image.properties[GOING], image.properties[FAILED]) == ("", "")
    assert not {LOCK, PLACE} & image.properties.keys()
    assert Staging(importing.staging).images() == []
    assert no_rows_but(importing, image)


@pytest.mark.parametrize("is_killed", [False, True], ids=["whole", "killed-behind-the-commit"])
def test_data_that_came_in_parts_become_the_image(
    importing: World, member: Identity, queued: Image, run: Run, is_killed: bool
) -> None:
    for first, data in enumerate([b"d", b"a", b"t", b"a"]):
        part = Part(first=first, last=first, total=4)
        parts.stage_part(importing, member, queued.id, IteratorStream(iter([data])), part)
    folder = Staging(importing.staging).of(queued.id)
    if is_killed:
        (folder / DATA).rename(folder / PARTIAL)
    begin(importing, member, queued, method="glance-direct")
    image, task = run(importing, queued.id)
    assert (image.status, task.status, task.message) == ("active", "success", "")
    assert bytes_in(importing, image) == {"fast": b"data"}
    assert image.checksum == "8d777f385d3dfec8815d20f7496026dc"
    assert image.os_hash_value == hashlib.sha512(b"data").hexdigest()
    assert Staging(importing.staging).images() == []
    assert no_rows_but(importing, image)


def test_steps_change_data_and_record(
    importing: World, member: Identity, queued: Image, run: Run, web: Web
) -> None:
    stepped = replace(importing, importing=replace(importing.importing, steps={"up": Upper()}))
    begin(stepped, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(stepped, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert bytes_in(stepped, image) == {"fast": web.data.upper()}
    assert image.properties["case"] == "upper"
    assert image.properties["told"] == "by the source"


def test_what_a_step_knows_of_its_file_becomes_the_image_s(
    importing: World, member: Identity, queued: Image, run: Run, web: Web
) -> None:
    made = web.data.upper()
    steps = {"up": KnowingUpper(made)}
    stepped = replace(importing, importing=replace(importing.importing, steps=steps))
    begin(stepped, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(stepped, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert image.checksum == hashlib.md5(made).hexdigest()
    assert image.os_hash_value == hashlib.sha512(made).hexdigest()


def test_a_store_that_reads_the_data_sees_that_a_step_was_wrong_about_them(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    steps = {"up": KnowingUpper(b"other")}
    stepped = replace(importing, importing=replace(importing.importing, steps=steps))
    begin(stepped, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(stepped, queued.id)
    assert (image.status, task.status) == ("queued", "failure")
    assert "does not have the expected" in task.message


def begun_before(world: World, caller: Identity, image: Image) -> Path:
    """Begin a web-download, and return the folder that a worker of it has left."""
    task = begin(world, caller, image, method="web-download", arguments={"uri": "x"})
    staging = Staging(world.staging)
    staging.keep_for(image.id, task.id)
    return staging.of(image.id)


def test_a_fetch_goes_on_where_it_was(
    importing: World, member: Identity, queued: Image, run: Run, web: Web
) -> None:
    folder = begun_before(importing, member, queued)
    (folder / "data.part").write_bytes(web.data[:500] + b"not durable yet")
    (folder / "fetched.json").write_text('{"version": "1", "size": 500}')
    image, _ = run(importing, queued.id)
    assert web.offsets == [500]
    assert bytes_in(importing, image) == {"fast": web.data}


@pytest.mark.parametrize(("host", "begun"), [(HOST, 500), ("another since it booted", 0)])
def test_a_fetch_goes_on_with_what_is_in_memory_on_that_host_alone(
    importing: World, member: Identity, queued: Image, run: Run, web: Web, host: str, begun: int
) -> None:
    folder = begun_before(importing, member, queued)
    (folder / "data.part").write_bytes(web.data[:500])
    (folder / "fetched.json").write_text(json.dumps({"version": "1", "size": 500, "host": host}))
    image, _ = run(importing, queued.id)
    assert web.offsets == [begun]
    assert bytes_in(importing, image) == {"fast": web.data}


@pytest.mark.parametrize("then", [{"up": Upper()}, {}], ids=["a step", "the store"])
def test_what_a_host_lost_with_its_memory_is_fetched_again(
    importing: World, member: Identity, queued: Image, run: Run, web: Web, then: dict[str, Any]
) -> None:
    steps = {"down": GoingDown(), **then}
    stepped = replace(importing, importing=replace(importing.importing, steps=steps))
    begin(stepped, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(stepped, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert web.offsets == [0, 0]
    assert bytes_in(stepped, image) == {"fast": web.data.upper() if then else web.data}


def test_what_was_in_memory_is_on_the_disk_before_it_becomes_the_image(
    importing: World,
    member: Identity,
    queued: Image,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        "glancekit.services.staging.sync_file", lambda path: synced.append(path.name)
    )
    steps = {"none": Hesitant()}
    stepped = replace(importing, importing=replace(importing.importing, steps=steps))
    begin(stepped, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(stepped, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert synced == ["data"]


class NoAdministrators:
    """An operator's rules by which nobody administers the service."""

    changed = frozenset({"context_is_admin"})

    def decide(self, name: str, credentials: object, target: object) -> bool:
        return False

    def knows(self, name: str) -> bool:
        return name in self.changed


@pytest.mark.parametrize(
    ("access", "is_admin"), [(Access(NoAdministrators), False), (Access(), True)]
)
def test_who_is_an_administrator_is_for_the_rules_to_say_in_an_import_too(
    importing: World, queued: Image, run: Run, web: Web, access: Access, is_admin: bool
) -> None:
    caller = Identity(user_id="u", project_id="p1", roles=frozenset({"admin", "member", "reader"}))
    ruled = replace(importing, access=access)
    begin(ruled, caller, queued, method="web-download", arguments={"uri": "x"})
    run(ruled, queued.id)
    assert [one.is_admin for one in web.callers] == [is_admin]


def test_a_changed_source_is_fetched_anew(
    importing: World, member: Identity, queued: Image, run: Run, web: Web
) -> None:
    folder = Staging(importing.staging).prepare(queued.id)
    (folder / "data.part").write_bytes(b"other")
    (folder / "fetched.json").write_text('{"version": "0", "size": 5}')
    begin(importing, member, queued, method="web-download", arguments={"uri": "x"})
    image, _ = run(importing, queued.id)
    assert web.offsets == [0]
    assert bytes_in(importing, image) == {"fast": web.data}


def test_a_store_that_fails_undoes_all(
    importing: World, member: Identity, queued: Image, run: Run, second: Any, store: Any
) -> None:
    stage(importing, member, queued)
    store.fail("write", StoreUnavailable("gone"))
    begin(importing, member, queued, method="glance-direct", stores=("slow", "fast"))
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("queued", "failure")
    assert "gone" in task.message
    assert image.properties[FAILED] == "slow,fast"
    assert (image.size, image.locations) == (None, ())
    assert not second.blobs
    assert no_rows_but(importing, image)
    assert Staging(importing.staging).images() == []


@pytest.mark.parametrize("all_must", [True, False])
def test_what_has_the_name_already_stays(
    importing: World, member: Identity, queued: Image, run: Run, second: Any, all_must: bool
) -> None:
    second.blobs[queued.id] = b"another's"
    stage(importing, member, queued)
    begin(
        importing,
        member,
        queued,
        method="glance-direct",
        stores=("fast", "slow"),
        all_stores_must_succeed=all_must,
    )
    image, task = run(importing, queued.id)
    assert task.status == ("failure" if all_must else "success")
    assert image.properties[FAILED].endswith("slow")
    assert second.blobs[queued.id] == b"another's"
    assert no_rows_but(importing, image)
    recover(importing)
    assert second.blobs[queued.id] == b"another's"


def test_a_store_may_fail(
    importing: World, member: Identity, queued: Image, run: Run, store: Any
) -> None:
    stage(importing, member, queued)
    store.fail("write", StoreUnavailable("gone"))
    begin(
        importing,
        member,
        queued,
        method="glance-direct",
        stores=("fast", "slow"),
        all_stores_must_succeed=False,
    )
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("active", "success")
    assert bytes_in(importing, image) == {"slow": b"data"}
    assert (image.properties[GOING], image.properties[FAILED]) == ("", "fast")


def doom(world: World, image: Image, store: str, holder: str | None) -> None:
    """Leave what somebody was removing."""
    with world.metadata.unit_of_work() as work:
        writing = Location(
            url="", store=store, image_id=image.id, status=LocationStatus.WRITING, holder=holder
        )
        row = work.locations.add(writing)
        doomed = replace(row, status=LocationStatus.PENDING_DELETE)
        work.locations.save(doomed, expect_status=LocationStatus.WRITING)
        work.commit()


def test_an_undoing_that_died_is_ended_and_the_store_written(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    begin(importing, member, queued, method="glance-direct", stores=("fast", "slow"))
    doom(importing, queued, "slow", "who died")
    recover(importing)  # which leaves it to the import
    image, task = run(importing, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert bytes_in(importing, image) == {"fast": b"data", "slow": b"data"}
    assert no_rows_but(importing, image)


def test_an_undoing_that_died_is_ended_by_who_goes_on_with_it(
    importing: World, member: Identity, queued: Image
) -> None:
    stage(importing, member, queued)
    task = begin(importing, member, queued, method="glance-direct", stores=("fast", "slow"))
    deeds = Work(importing, max_tries=3)
    deeds.take(task.id)
    doom(importing, queued, "slow", "who died")
    doom(importing, queued, "fast", None)
    for store in ("slow", "fast"):
        deeds.unwrite(job_of(importing, task), store)
    with importing.metadata.unit_of_work(read_only=True) as work:
        left = {row.store for row in work.locations.of_image(queued.id)}
    assert "slow" not in left
    assert "fast" in left, "what could not be removed before waits for the reaper"


def test_a_store_that_still_has_condemned_data_fails_alone(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    begin(
        importing,
        member,
        queued,
        method="glance-direct",
        stores=("fast", "slow"),
        all_stores_must_succeed=False,
    )
    doom(importing, queued, "slow", None)
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("active", "success")
    assert (set(bytes_in(importing, image)), image.properties[FAILED]) == ({"fast"}, "slow")


def test_a_copy_that_fails_leaves_the_image(
    importing: World, admin: Identity, active: Image, run: Run, second: Any
) -> None:
    second.write = _refusing
    begin(importing, admin, active, method="copy-image", stores=("slow",))
    image, task = run(importing, active.id)
    assert (image.status, task.status) == ("active", "failure")
    assert bytes_in(importing, image) == {"fast": b"data"}
    assert image.properties[FAILED] == "slow"


def _refusing(image_id: str, source: Any, size: Any) -> Any:
    raise StoreUnavailable("no")


def test_a_copy(importing: World, admin: Identity, active: Image, run: Run) -> None:
    begin(importing, admin, active, method="copy-image", all_stores=True)
    image, task = run(importing, active.id)
    assert (image.status, task.status, task.message) == ("active", "success", "")
    assert bytes_in(importing, image) == {"fast": b"data", "slow": b"data"}
    assert image.checksum == active.checksum


@pytest.fixture
def of_three(importing: World, active: Image, second: Any) -> World:
    """A world of three stores; two have the image's data."""
    second.blobs[active.id] = b"data"
    with importing.metadata.unit_of_work() as work:
        url = f"memory://slow/{active.id}"
        work.locations.add(Location(url=url, store="slow", image_id=active.id))
        work.commit()
    stores = [*importing.stores, Store("third", MemoryStore(name="third"))]
    return replace(importing, stores=Stores(stores, "fast"))


def test_a_copy_is_made_of_one_that_is_good(
    of_three: World, admin: Identity, active: Image, run: Run, store: Any
) -> None:
    """And not of the one that is preferred, where an audit found that it has other bytes."""
    store.blobs[active.id] = b"rott"
    with of_three.metadata.unit_of_work() as work:
        (copy,) = active.locations
        work.locations.note(replace(copy, finding=Finding.BAD), since=copy.audited_at)
        work.commit()
    begin(of_three, admin, active, method="copy-image", stores=("third",))
    image, task = run(of_three, active.id)
    assert (task.status, task.message) == ("success", "")
    assert bytes_in(of_three, image)["third"] == b"data"


def test_a_copy_that_was_never_begun_takes_nothing_back(
    importing: World, admin: Identity, active: Image, run: Run, store: Any
) -> None:
    """The store has the image's own data under another id, as after it was renamed."""
    renamed = replace(importing, stores=Stores([Store("ssd", store)], "ssd"))
    begin(renamed, admin, active, method="copy-image", stores=("ssd",))
    image, task = run(renamed, active.id)
    assert (image.status, task.status) == ("active", "failure")
    assert store.blobs[active.id] == b"data"
    assert no_rows_but(importing, image)


def test_a_copy_of_an_image_that_is_being_deleted_goes_with_it(
    importing: World, admin: Identity, active: Image, store: Any, second: Any
) -> None:
    task = begin(importing, admin, active, method="copy-image", stores=("slow",))
    deeds, job = Work(importing, max_tries=3), job_of(importing, task)
    deeds.take(task.id)
    measured = deeds.describe(job)
    deeds.write(job, "slow", None, measured)
    delete = store.delete

    def delete_then(location: Location) -> None:
        with pytest.raises(Conflict, match="deleted"):
            deeds.activate(job, None, measured)
        delete(location)

    store.delete = delete_then
    images.delete(importing, admin, active.id)
    deeds.unwrite(job, "slow")
    for _ in range(2):
        recover(importing)
    with importing.metadata.unit_of_work(read_only=True) as work:
        assert work.locations.of_image(active.id) == []
    assert second.blobs == store.blobs == {}


def test_a_copy_is_gone_on_with_from_another_source(
    of_three: World, admin: Identity, active: Image, run: Run, store: Any
) -> None:
    store.open = lambda location: BrokenStream(b"data", at=2, error=StoreUnavailable("gone"))
    begin(of_three, admin, active, method="copy-image", stores=("third",))
    image, task = run(of_three, active.id)
    assert (task.status, task.message) == ("success", "")
    del store.open
    assert bytes_in(of_three, image)["third"] == b"data"


def with_backing_file() -> bytes:
    """Return the header of a qcow2 that names another file."""
    return struct.pack(">4sIQI", b"QFI\xfb", 3, 0x100, 8) + bytes(2000)


def test_data_that_are_not_safe_are_refused(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued, with_backing_file())
    begin(importing, member, queued, method="glance-direct")
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("queued", "failure")
    assert "backing_file" in task.message


def test_formats_that_change_after_the_inspection_are_refused(
    importing: World, member: Identity, run: Run, store: Any
) -> None:
    """Data that nobody looks into as one thing need not be safe as the other."""
    asked = NewImage(disk_format="qcow2", container_format="ovf")
    image = images.create(importing, member, asked)
    stage(importing, member, image, with_backing_file())
    begin(importing, member, image, method="glance-direct")
    write = store.write

    def write_then(*given: Any) -> Location:
        change = Change(Op.REPLACE, "container_format", "bare")
        images.update(importing, member, image.id, [change])
        return write(*given)

    store.write = write_then
    ended, task = run(importing, image.id)
    assert (ended.status, task.status) == ("queued", "failure")
    assert "formats" in task.message
    assert not store.blobs


def test_what_another_import_left_is_not_taken(
    importing: World, member: Identity, queued: Image, run: Run, web: Web
) -> None:
    stage(importing, member, queued, b"staged before")
    task = begin(importing, member, queued, method="glance-direct")
    imports.cancel(importing, task.id)
    begin(importing, member, queued, method="web-download", arguments={"uri": "http://x/new"})
    image, task = run(importing, queued.id)
    assert (image.status, task.message) == ("active", "")
    assert bytes_in(importing, image) == {"fast": web.data}


def test_an_image_that_is_deleted_meanwhile(
    importing: World, member: Identity, queued: Image, run: Run, web: Web, store: Any
) -> None:
    web.before_end = lambda: images.delete(importing, member, queued.id)
    begin(importing, member, queued, method="web-download", arguments={"uri": "x"})
    with importing.metadata.unit_of_work(read_only=True) as work:
        (task,) = work.tasks.of_image(queued.id)
    with pytest.raises(Exception, match="No image found"):
        run(importing, queued.id)
    end = time.monotonic() + PATIENCE
    while task.status in UNFINISHED and time.monotonic() < end:
        with importing.metadata.unit_of_work(read_only=True) as work:
            (task,) = work.tasks.of_image(queued.id)
    assert "was deleted while it was imported" in task.message
    assert not store.blobs
    while Staging(importing.staging).images() and time.monotonic() < end:
        time.sleep(0.02)
    assert Staging(importing.staging).images() == []


def test_cancelling(importing: World, member: Identity, queued: Image, run: Run, web: Web) -> None:
    task = begin(importing, member, queued, method="web-download", arguments={"uri": "x"})
    web.before_end = lambda: imports.cancel(importing, task.id) and None
    image, ended = run(importing, queued.id)
    assert (image.status, ended.status) == ("queued", "failure")
    assert "cancelled" in ended.message
    with pytest.raises(Conflict):
        imports.cancel(importing, task.id)
    web.before_end = lambda: None
    again = imports.retry(importing, task.id)
    assert (again.id != task.id, again.input) == (True, task.input)
    image, ended = run(importing, queued.id)
    assert (image.status, ended.status) == ("active", "success")
    with pytest.raises(Conflict):
        imports.retry(importing, again.id)


def test_cancelling_before_anybody_began(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    task = begin(importing, member, queued, method="glance-direct")
    imports.cancel(importing, task.id)
    assert state(importing, queued.id)[0].status == "queued"
    assert clear_staging(importing) == 1


def test_cancelling_what_a_dead_worker_was_at(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    task = begin(importing, member, queued, method="glance-direct")
    edit(importing, task, holder="dead.1/1/a", status=TaskStatus.PROCESSING)
    imports.cancel(importing, task.id)
    assert state(importing, queued.id)[0].status == "importing"
    assert run(importing, queued.id)[0].status == "queued"
    assert Staging(importing.staging).images() == []


def edit(world: World, task: Task, **values: Any) -> None:
    with world.metadata.unit_of_work() as work:
        work.tasks.save(replace(work.tasks.get(task.id), **values), expect_status=UNFINISHED)
        work.commit()


def test_what_kills_its_workers_is_stopped(
    importing: World, member: Identity, queued: Image, run: Run
) -> None:
    stage(importing, member, queued)
    task = begin(importing, member, queued, method="glance-direct")
    edit(importing, task, result=TaskState(tries=3).as_result())
    image, ended = run(importing, queued.id)
    assert (image.status, ended.status) == ("queued", "failure")
    assert "begun 3 times" in ended.message


def test_data_on_a_host_that_is_gone(
    importing: World,
    member: Identity,
    queued: Image,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage(importing, member, queued)
    begin(importing, member, queued, method="glance-direct")
    with importing.metadata.unit_of_work() as work:
        image = work.images.get(queued.id)
        elsewhere = {**image.properties, PLACE: f"{uuid.uuid4()}@far.example"}
        work.images.save(replace(image, properties=elsewhere), expect_status={image.status})
        work.commit()
    monkeypatch.setattr("glancekit.services.importing.turns.HOST_GRACE", timedelta(0))
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("queued", "failure")
    assert "host far.example, which is gone" in task.message


def test_another_s_import_is_left_alone(importing: World, member: Identity, queued: Image) -> None:
    stage(importing, member, queued)
    task = begin(importing, member, queued, method="glance-direct")
    with importing.metadata.unit_of_work() as work:
        work.leases.renew("far.1/1/a", now() + timedelta(minutes=1))
        work.commit()
    edit(importing, task, holder="far.1/1/a", status=TaskStatus.PROCESSING)
    work_here = Work(importing, max_tries=3)
    assert work_here.take(task.id) == "not now"
    assert work_here.gone(["far.1/1/a", "far.1/2/b"]) == {"far.1/2/b"}
    work_here.fail(work_here.unfinished()[0], "no")
    assert state(importing, queued.id)[1].status is TaskStatus.PROCESSING
    assert work_here.take(str(uuid.uuid4())) == "over"


def test_the_reaper_leaves_imports_alone(
    importing: World, member: Identity, queued: Image
) -> None:
    stage(importing, member, queued)
    assert clear_staging(importing) == 0
    begin(importing, member, queued, method="glance-direct")
    assert (recover(importing), clear_staging(importing)) == (0, 0)
    images.delete(importing, member, queued.id)
    assert clear_staging(importing) == 1


def test_dead_staging_is_undone(importing: World, member: Identity, queued: Image) -> None:
    with importing.metadata.unit_of_work() as work:
        image = work.images.get(queued.id)
        work.commit()
    imports._begin_staging(importing, member, image.id, None, imports.quotas.UNLIMITED)
    Staging(importing.staging).prepare(image.id)
    with importing.metadata.unit_of_work() as work:
        work.leases.release(importing.lease.holder)
        work.commit()
    assert recover(importing) == 1
    with importing.metadata.unit_of_work(read_only=True) as work:
        assert work.images.get(queued.id).status == "queued"
    assert Staging(importing.staging).images() == []


def test_a_legacy_task(importing: World, admin: Identity, run: Run, web: Web) -> None:
    given = {
        "import_from": "http://web/x",
        "import_from_format": "raw",
        "image_properties": {"name": "n", "container_format": "bare", "colour": "blue"},
    }
    task = legacy_tasks.create(importing, admin, TaskType.IMPORT, given)
    image, ended = run(importing, task.image_id or "")
    assert (image.status, image.name, image.disk_format) == ("active", "n", "raw")
    assert image.properties["colour"] == "blue"
    assert (ended.type, ended.result) == ("import", {"image_id": image.id})
    assert given.items() <= ended.input.items()


def test_an_import_that_is_on_the_board_twice_is_done_once(
    importing: World, member: Identity, queued: Image, run: Run, board: Board, web: Web
) -> None:
    """On boards that do not know a job by its name, two may have posted it."""
    task = begin(importing, member, queued, method="web-download", arguments={"uri": "x"})
    (job,) = [job for job in board.jobs.every_job() if job.name == task.id]
    twin = board.jobs._path(str(uuid.uuid4()))
    text = board.jobs._path(job.uuid).read_text().replace(job.uuid, twin.stem)
    twin.write_text(text)
    image, ended = run(importing, queued.id)
    assert (image.status, ended.status, ended.message) == ("active", "success", "")
    assert web.offsets == [0]


def test_what_nobody_foresaw_is_for_the_log(
    importing: World,
    member: Identity,
    queued: Image,
    run: Run,
    web: Web,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble() -> None:
        raise ZeroDivisionError("of /etc/secret")

    web.before_end = stumble
    begin(importing, member, queued, method="web-download", arguments={"uri": "x"})
    image, task = run(importing, queued.id)
    assert (image.status, task.status) == ("queued", "failure")
    assert "secret" not in task.message
    assert "of /etc/secret" in caplog.text
