# SPDX-License-Identifier: Apache-2.0
"""The deeds of an import (flows/ports.py), each of which may be done again after a kill.

What is about to be written is written down first. Whose import it is, and what the image is told
meanwhile, is said in ``import_records``; in which order it all goes, in ``flows``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from glancekit.core.contracts.importing import (
    SourceStream,
    StagedImage,
    SupportsDescription,
    SupportsForecast,
)
from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.digesting import CHECKSUM_ALGORITHM
from glancekit.core.drivers import IMPORT_METHODS, IMPORT_STEPS
from glancekit.core.errors import (
    BlobNotFound,
    Conflict,
    GlancekitError,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataUnavailable,
    SourceChanged,
    StoreError,
    StoreFailed,
    StoreNotFound,
    TaskNotFound,
)
from glancekit.core.formats import FormatInspection
from glancekit.core.lease import is_gone
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskState, TaskStatus
from glancekit.core.options import STAGING_STORE
from glancekit.core.stores import Store
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.flows.ports import ImportWork, Job, Measured, Staged, Turn
from glancekit.services import acting, quotas
from glancekit.services import import_records as records
from glancekit.services.import_plugins import ImportPlugin, watched
from glancekit.services.import_pulse import Pulse
from glancekit.services.notices import about, about_failure, about_task
from glancekit.services.staging import DATA, Staging, sync_file, sync_folder, write_whole
from glancekit.services.tasks import ended
from glancekit.services.world import World

log = logging.getLogger(__name__)

T = TypeVar("T")

MANY = 10_000
"""Unfinished imports that are looked at."""

HOST_GRACE = timedelta(minutes=10)
"""How long a host with staged data may be away before what needs them fails."""

LONGEST_PAUSE = 5.0
"""Seconds between attempts to reach a database that is away."""

_DESCRIPTION = "description.json"
"""The file that says what the source said of the record."""


class Work(ImportWork):
    """The deeds, for the imports that this process runs."""

    def __init__(self, world: World, *, max_tries: int, stall_time: float = 3600.0) -> None:
        """Take what an import may cost: tries, and seconds in which a plugin moves nothing."""
        self._world = world
        self._staging = Staging(world.staging)
        self._max_tries = max_tries
        self._stall_time = stall_time

    # -- around a flow

    def take(self, task_id: str) -> Turn:
        """See the port."""
        with self._world.metadata.unit_of_work() as work:
            turn, task, reason = self._judge(work, task_id)
            if turn is Turn.MINE and task is not None and not reason:
                state = replace(TaskState.of(task), tries=TaskState.of(task).tries + 1)
                taken = replace(
                    task,
                    status=TaskStatus.PROCESSING,
                    holder=self._world.lease.holder,
                    result=state.as_result(),
                )
                saved = work.tasks.save(taken, expect_status={task.status})
                if task.status is TaskStatus.PENDING:
                    work.events.append(about_task(task, "task.run"))
                    work.events.append(about_task(saved, "task.processing"))
                work.commit()
        if task is not None and reason:
            self._give_up(records.job_of(self._world, task), reason)
            return Turn.OVER
        return turn

    def _judge(self, work: UnitOfWork, task_id: str) -> tuple[Turn, Task | None, str]:
        """Say whose turn it is, and why an import cannot go on."""
        try:
            task = work.tasks.get(task_id)
        except TaskNotFound:
            return Turn.OVER, None, ""
        try:
            image = work.images.get(task.image_id or "")
        except ImageNotFound:
            return Turn.MINE, task, f"Image {task.image_id} was deleted while it was imported"
        if task.status not in UNFINISHED:
            # Cancelled before anybody was at it, or by whom a kill kept from putting it back.
            is_held = image.properties.get(records.LOCK) == task.id
            return (Turn.MINE, task, task.message) if is_held else (Turn.OVER, None, "")
        if self._is_at_it(work, task.holder):
            return Turn.NOT_NOW, None, ""
        if reason := self._unreachable(work, image, task):
            return reason
        if TaskState.of(task).tries >= self._max_tries:
            return (
                Turn.MINE,
                task,
                (
                    f"The import was begun {self._max_tries} times and never came to an end: "
                    "it seems to kill the processes that run it ([taskflow] max_tries)"
                ),
            )
        return Turn.MINE, task, ""

    def _is_at_it(self, work: UnitOfWork, holder: str | None) -> bool:
        if holder is None or holder == self._world.lease.holder:
            return False
        return holder in work.leases.holders(alive_at=now()) and not is_gone(holder)

    def _unreachable(
        self, work: UnitOfWork, image: Image, task: Task
    ) -> tuple[Turn, Task | None, str] | None:
        """Say what to do where the bytes are staged on another host."""
        place, _, host = image.properties.get(records.PLACE, "").partition("@")
        if not host or place == self._staging.place_id:
            return None
        since = now() - HOST_GRACE
        alive = work.leases.holders(alive_at=since)
        if task.updated_at > since or any(name.startswith(f"{host}.") for name in alive):
            return Turn.NOT_NOW, None, ""
        return (
            Turn.MINE,
            task,
            (f"The staged data are on host {host}, which is gone; import the image again"),
        )

    def unfinished(self, *, age: float = 0.0) -> Sequence[Job]:
        """See the port."""
        since = now() - timedelta(seconds=age)
        with self._world.metadata.unit_of_work(read_only=True) as work:
            kinds = [work.tasks.unfinished(kind, limit=MANY) for kind in records.IMPORTS]
            found = [task for tasks in kinds for task in tasks]
        return [records.job_of(self._world, task) for task in found if task.created_at < since]

    def gone(self, holders: Iterable[str]) -> frozenset[str]:
        """See the port."""
        with self._world.metadata.unit_of_work(read_only=True) as work:
            alive = work.leases.holders(alive_at=now())
        return frozenset(name for name in holders if name not in alive or is_gone(name))

    # -- fetching

    def fetch(self, job: Job) -> Staged:
        """See the port."""
        data = self._staging.of(job.image_id) / DATA
        if job.method == records.DIRECT:
            self._complete(job)
        if data.exists() and self._staging.is_certain(job.image_id):
            # by glance-direct, or by who died behind it
            self._require_mine(job)
            return Staged(file=DATA, size=data.stat().st_size, **self._kept_description(job))
        if job.method == records.DIRECT:
            raise Invalid("There are no staged data; stage them again (PUT /v2/images/{id}/stage)")
        return self._fetch(job)

    def _complete(self, job: Job) -> None:
        """Publish what came in parts where a kill kept from it."""
        image, _ = self._look(lambda work: records.mine(self._world, work, job))
        if image.size is not None:
            self._staging.complete(job.image_id, image.size)

    def _fetch(self, job: Job) -> Staged:
        method = self._world.importing.methods.get(job.method)
        if method is None:
            raise Invalid(f"The import method '{job.method}' is not available any more")
        image, task, writing = self._patiently(lambda work: self._intend_staging(work, job))
        arguments, caller = _arguments(task), records.caller_of(task)
        plugin = ImportPlugin(self._world, IMPORT_METHODS, job.method)
        open_source = partial(method.open, image, arguments, caller=caller)
        staged = Staged(file=DATA, size=0)
        if isinstance(method, SupportsDescription):
            describe = partial(method.describe, image, arguments, caller=caller)
            described = plugin.answer("describe", describe, self._stall_time, kind=Image)
            staged = records.difference(image, described, staged)
            image = described
            open_source = partial(method.open, image, arguments, caller=caller)
        folder = self._staging.prepare(job.image_id)
        write_whole(folder / _DESCRIPTION, json.dumps(staged.to_json()))
        fetched = self._staging.left(job.image_id)
        try:
            source = plugin.opened(partial(open_source, fetched=fetched), self._stall_time)
        except SourceChanged:
            if fetched is None:
                raise
            fetched = None
            source = plugin.opened(partial(open_source, fetched=None), self._stall_time)
        if fetched is None:
            self._staging.drop_left(job.image_id)
        with source:
            begun = 0 if fetched is None else fetched.size
            receipt = self._receive(job, image, writing, source, begun)
        data = self._staging.publish(job.image_id, None if begun else receipt)
        return replace(staged, size=data.stat().st_size)

    def _receive(
        self,
        job: Job,
        image: Image,
        writing: Location,
        source: SourceStream,
        begun: int,
    ) -> Receipt:
        """Let a source's bytes come in behind those that are there."""
        size, is_replaced = source.size, self._will_be_replaced(job, image)
        allowed = quotas.allowance(self._world, image.owner)
        if size is not None:
            self._patiently(lambda work: quotas.reserve(work, allowed, image.owner, writing, size))
        pulse = Pulse(self._beat(job), "fetch", size, done=begun)
        plan = TransferPlan(
            declared_size=None if size is None else size - begun,
            size_cap=self._world.settings.image_size_cap - begun,
            hash_algo=None if is_replaced else self._world.settings.hashing_algorithm,
            observers=(
                pulse,
                *quotas.observers(self._world, allowed, writing, size),
            ),
        )
        write = partial(
            self._staging.write,
            job.image_id,
            version=source.version,
            is_durable=not is_replaced,
        )
        move = partial(transfer, source, plan, write)
        return watched(move, f"import method {job.method}", self._stall_time, pulse)[1]

    def _will_be_replaced(self, job: Job, image: Image) -> bool:
        """Say whether a step makes another file of all that comes.

        Nobody needs the digests of what came then, nor has to wait until it is on a disk.
        """
        for step in job.steps:
            driver: object = self._world.importing.steps.get(step)
            if not isinstance(driver, SupportsForecast):
                continue
            plugin = ImportPlugin(self._world, IMPORT_STEPS, step)
            ask = partial(driver.will_replace, image)
            if plugin.answer("will_replace", ask, self._stall_time, kind=bool):
                return True
        return False

    def _fetch_what_was_lost(self, job: Job, staged: Staged) -> None:
        """Fetch again what was in the memory of a host that went down, before it is used."""
        if staged.file == DATA and not self._staging.is_certain(job.image_id):
            log.warning("the staged data of image %s were lost, fetching again", job.image_id)
            self._fetch(job)

    def _intend_staging(self, work: UnitOfWork, job: Job) -> tuple[Image, Task, Location]:
        """Write down that bytes are about to come to this host."""
        image, task = records.mine(self._world, work, job)
        place = records.with_properties(image, {records.PLACE: self._staging.place})
        if place != image:
            image = work.images.save(place, expect_status={image.status})
        writing = self._intend(work, job, STAGING_STORE)
        return image, task, writing

    def _kept_description(self, job: Job) -> dict[str, dict[str, str]]:
        try:
            text = (self._staging.of(job.image_id) / _DESCRIPTION).read_text()
        except FileNotFoundError:
            return {}
        kept = Staged.from_json(json.loads(text))
        return {"attributes": dict(kept.attributes), "properties": dict(kept.properties)}

    # -- what is done to staged bytes

    def apply(self, job: Job, step: str, staged: Staged) -> Staged:
        """See the port."""
        driver = self._world.importing.steps.get(step)
        if driver is None:
            raise Invalid(f"The import step '{step}' is not available any more")
        self._staging.keep_only(job.image_id, staged.file)
        self._fetch_what_was_lost(job, staged)
        before = self._as_staged(job, staged)
        plugin = ImportPlugin(self._world, IMPORT_STEPS, step)
        ask = partial(driver.applies_to, before)
        if not plugin.answer("applies_to", ask, self._stall_time, kind=bool):
            return staged
        pulse = Pulse(self._beat(job), step, staged.size)
        after = plugin.execute(driver.execute, before, pulse, self._stall_time)
        sync_file(after.path)
        sync_folder(after.path.parent)
        self._note_digests(after)
        known = replace(staged, file=after.path.name, size=after.path.stat().st_size)
        return records.difference(before.image, after.image, known)

    def _note_digests(self, made: StagedImage) -> None:
        """Keep what a step knows of the file that it made."""
        algorithm = self._world.settings.hashing_algorithm
        if made.digests.keys() >= {CHECKSUM_ALGORITHM, algorithm}:
            receipt = Receipt(
                size=made.path.stat().st_size,
                checksum=made.digests[CHECKSUM_ALGORITHM],
                hash_algo=algorithm,
                hash_value=made.digests[algorithm],
                detected_format=None,
                virtual_size=None,
            )
            self._staging.note(made.path, receipt)

    def unapply(self, job: Job, step: str, staged: Staged) -> None:
        """See the port."""
        driver = self._world.importing.steps.get(step)
        if driver is None:
            return
        undo = partial(driver.revert, self._as_staged(job, staged))
        try:
            ImportPlugin(self._world, IMPORT_STEPS, step).answer("revert", undo, self._stall_time)
        except GlancekitError:  # a stranger's code; its files go with the folder
            log.exception("step %s could not be undone for image %s", step, job.image_id)

    def _as_staged(self, job: Job, staged: Staged) -> StagedImage:
        image, task = self._look(
            lambda work: (work.images.get(job.image_id), work.tasks.get(job.task_id))
        )
        return StagedImage(
            image=records.as_it_will_be(image, staged),
            path=self._staging.of(job.image_id) / staged.file,
            caller=records.caller_of(task),
        )

    def measure(self, job: Job, staged: Staged) -> Measured:
        """See the port."""
        self._staging.keep_only(job.image_id, staged.file)
        self._fetch_what_was_lost(job, staged)
        self._staging.settle(job.image_id)
        path = self._staging.of(job.image_id) / staged.file
        known = self._staging.receipt_of(path)
        image = self._as_staged(job, staged).image
        if image.disk_format is None or image.container_format is None:
            raise Invalid("The image has no disk_format or container_format; set both")
        inspector = self._inspector(image)
        with path.open("rb", buffering=0) as file:
            if known is None or known.hash_algo != self._world.settings.hashing_algorithm:
                return _measured(self._read(job, FileStream(file), staged.size, inspector))
            while inspector.wants_more and (chunk := file.read(CHUNK_SIZE)):
                inspector.feed(chunk)
        verdict = inspector.finish(known.size)
        return _measured(replace(known, virtual_size=verdict.virtual_size))

    def _read(
        self, job: Job, source: ByteStream, size: int, inspector: FormatInspection
    ) -> Receipt:
        plan = TransferPlan(
            declared_size=size,
            size_cap=self._world.settings.image_size_cap,
            hash_algo=self._world.settings.hashing_algorithm,
            inspector=inspector,
            observers=(Pulse(self._beat(job), "measure", size),),
        )
        return transfer(source, plan, _pass_by)[1]

    def _inspector(self, image: Image) -> FormatInspection:
        settings = self._world.settings
        return FormatInspection(
            disk_format=image.disk_format,
            container_format=image.container_format,
            require_match=settings.require_image_format_match,
            vmdk_allowed_types=settings.vmdk_allowed_types,
            gpt_safety_checks_nonfatal=settings.gpt_safety_checks_nonfatal,
        )

    def describe(self, job: Job) -> Measured:
        """See the port."""
        image, _ = self._look(lambda work: records.mine(self._world, work, job))
        if image.size is None:
            raise Invalid(f"Image {image.id} has no known size, so it cannot be copied")
        return Measured(
            size=image.size,
            checksum=image.checksum,
            hash_algo=image.os_hash_algo,
            hash_value=image.os_hash_value,
            virtual_size=image.virtual_size,
        )

    # -- writing

    def write(self, job: Job, store: str, staged: Staged | None, measured: Measured) -> bool:
        """See the port."""
        try:
            self._write(job, store, staged, measured)
        except (StoreError, StoreNotFound, LimitExceeded) as error:
            self.unwrite(job, store)
            if job.all_must_succeed:
                raise
            log.warning("store %s did not get image %s: %s", store, job.image_id, error)
            self._patiently(lambda work: self._note_failure(work, job, store))
            return False
        return True

    def _write(self, job: Job, store_id: str, staged: Staged | None, measured: Measured) -> None:
        store = self._world.stores.get(store_id)
        row = self._patiently(lambda work: self._find(work, job, store_id))
        if row is not None and row.status is LocationStatus.ACTIVE:
            return
        if row is not None and row.status is LocationStatus.PENDING_DELETE:
            doomed = row
            row = self._patiently(lambda work: self._take_doomed(work, job, doomed))
        if row is not None and row.url == "":
            # of who died while writing it
            acting.store_of(self._world.stores, row).discard(job.image_id)
        if row is None or row.url == "":
            allowed = self._allowed(job)
            writing = self._patiently(
                lambda work: self._intend(work, job, store_id, measured.size, allowed)
            )
            store = acting.store_of(self._world.stores, writing)
            location = self._move(job, store, staged, measured)
            row = replace(
                writing, url=location.url, metadata=location.metadata, size=measured.size
            )
        written = row
        self._patiently(lambda work: self._written(work, job, written, staged, measured))

    def _allowed(self, job: Job) -> quotas.Allowance:
        try:
            return quotas.allowance_for(self._world, job.image_id)
        except ImageNotFound as error:
            raise Conflict(f"Image {job.image_id} was deleted while it was imported") from error

    def _take_doomed(self, work: UnitOfWork, job: Job, row: Location) -> Location:
        """Make what a dead process was removing ours, as if that had died while it wrote.

        An undoing may die like anything else, and the reaper leaves to us what an import has.

        :raises StoreFailed: when somebody is at it, or it could not be removed before.
        """
        records.mine(self._world, work, job)
        if not self._is_dead_undoing(work, row):
            raise StoreFailed(
                "it has data of the image that are not removed yet",
                store=row.store,
                operation="write",
            )
        taken = replace(
            row, url="", status=LocationStatus.WRITING, holder=self._world.lease.holder
        )
        work.locations.save(taken, expect_status=LocationStatus.PENDING_DELETE)
        return taken

    def _find(self, work: UnitOfWork, job: Job, store: str) -> Location | None:
        records.mine(self._world, work, job)
        rows = (row for row in work.locations.of_image(job.image_id) if row.store == store)
        return next(rows, None)

    def _intend(
        self,
        work: UnitOfWork,
        job: Job,
        store: str,
        size: int | None = None,
        allowed: quotas.Allowance = quotas.UNLIMITED,
    ) -> Location:
        """Write down that bytes are about to go to a store; take over what a dead one wrote."""
        image, _ = records.mine(self._world, work, job)
        rows = [row for row in work.locations.of_image(job.image_id) if row.store == store]
        holder = self._world.lease.holder
        if rows:
            writing = replace(rows[0], holder=holder)
            work.locations.save(writing, expect_status=LocationStatus.WRITING)
        else:
            writing = work.locations.add(acting.intent(self._world.stores, store, image, holder))
        quotas.reserve(work, allowed, image.owner, writing, size)
        return writing

    def _move(self, job: Job, store: Store, staged: Staged | None, measured: Measured) -> Location:
        pulse = Pulse(self._beat(job), f"store {store.id}", measured.size)
        pulse(0, measured.size)
        plan = TransferPlan(
            declared_size=measured.size,
            size_cap=None,
            hash_algo=measured.hash_algo or self._world.settings.hashing_algorithm,
            expected_checksum=measured.checksum,
            expected_hash=measured.hash_value,
            before_end=lambda: self._require_mine(job),
            observers=(pulse,),
        )
        if staged is not None:
            path = self._staging.of(job.image_id) / staged.file
            adopted = store.adopt(path, job.image_id, measured.size)
            if adopted is not None:
                return adopted
        with self._source(job, staged) as source:
            return transfer(
                source, plan, lambda stream: store.write(job.image_id, stream, measured.size)
            )[0]

    def _require_mine(self, job: Job) -> None:
        self._look(lambda work: records.mine(self._world, work, job))

    @contextmanager
    def _source(self, job: Job, staged: Staged | None) -> Iterator[ByteStream]:
        """Open what is staged, or a copy that the image has."""
        if staged is not None:
            path = self._staging.of(job.image_id) / staged.file
            with path.open("rb", buffering=0) as file:
                yield FileStream(file)
            return
        image, _ = self._look(lambda work: records.mine(self._world, work, job))
        with self._copy_of(image) as stream:
            yield stream

    def _copy_of(self, image: Image) -> ByteStream:
        """Open the first copy that can be opened, that in the heaviest store first."""
        weights = {store.id: store.weight for store in self._world.stores}
        failure: StoreError | StoreNotFound = BlobNotFound(store="-", image_id=image.id)
        for location in sorted(image.locations, key=lambda one: -weights.get(one.store, 0)):
            try:
                store = self._world.stores.get(location.store)
                return store.open(replace(location, size=image.size))
            except (StoreError, StoreNotFound) as error:
                log.warning("a copy of image %s cannot be read: %s", image.id, error)
                failure = error
        raise failure

    def _written(
        self,
        work: UnitOfWork,
        job: Job,
        row: Location,
        staged: Staged | None,
        measured: Measured,
    ) -> None:
        """Write down where the bytes are; show them unless they wait for those of other stores."""
        records.mine(self._world, work, job)
        work.locations.save(row, expect_status=LocationStatus.WRITING)
        if not job.all_must_succeed:
            self._show(work, job, [row], staged, measured)

    def _note_failure(self, work: UnitOfWork, job: Job, store: str) -> None:
        image, _ = records.mine(self._world, work, job)
        changed = records.moved(image, [store], failed=True)
        work.images.save(changed, expect_status={image.status})

    def unwrite(self, job: Job, store: str) -> None:
        """See the port."""
        row = self._patiently(lambda work: self._condemn(work, job, store))
        if row is None:
            return
        try:
            driver = acting.store_of(self._world.stores, row)
            if row.url:
                driver.delete(row)
            else:
                driver.discard(row.image_id)
        except BlobNotFound:
            log.info("what was written of image %s to store %s is gone", job.image_id, store)
        except (StoreError, StoreNotFound) as error:
            log.warning("cannot remove what a failed import left, will try again: %s", error)
            left = replace(row, holder=None)
            self._patiently(lambda work: _leave(work, left))
            return
        self._patiently(lambda work: work.locations.remove(row.id or 0))

    def _condemn(self, work: UnitOfWork, job: Job, store: str) -> Location | None:
        """Write down that bytes are about to go which nobody was shown."""
        if not records.may_undo(self._world, work, job):
            return None
        for row in work.locations.of_image(job.image_id):
            is_ours = row.status is LocationStatus.WRITING or self._is_dead_undoing(work, row)
            if row.store == store and is_ours:
                doomed = replace(
                    row, status=LocationStatus.PENDING_DELETE, holder=self._world.lease.holder
                )
                work.locations.save(doomed, expect_status=row.status)
                return doomed
        return None

    def _is_dead_undoing(self, work: UnitOfWork, row: Location) -> bool:
        """Say whether a process died while it removed a row's data."""
        is_doomed = row.status is LocationStatus.PENDING_DELETE and row.holder is not None
        return is_doomed and not self._is_at_it(work, row.holder)

    # -- the end

    def activate(self, job: Job, staged: Staged | None, measured: Measured) -> None:
        """See the port."""
        self._patiently(lambda work: self._activate(work, job, staged, measured))

    def _activate(
        self, work: UnitOfWork, job: Job, staged: Staged | None, measured: Measured
    ) -> None:
        records.mine(self._world, work, job)
        rows = work.locations.of_image(job.image_id)
        wanted = [row for row in rows if row.store in job.stores]
        written = [row for row in wanted if row.status is LocationStatus.WRITING and row.url]
        shown = [row for row in wanted if row.status is LocationStatus.ACTIVE]
        if not written and not shown:
            raise Conflict(f"No store took the data of image {job.image_id}")
        if written:
            self._show(work, job, written, staged, measured)

    def _show(
        self,
        work: UnitOfWork,
        job: Job,
        rows: Sequence[Location],
        staged: Staged | None,
        measured: Measured,
    ) -> None:
        """Make copies active, and the image if it is not."""
        for row in rows:
            active = replace(row, status=LocationStatus.ACTIVE, holder=None)
            work.locations.save(active, expect_status=LocationStatus.WRITING)
        before = work.images.get(job.image_id)
        image = records.moved(before, [row.store for row in rows], failed=False)
        if before.status is not ImageStatus.IMPORTING:
            work.images.save(image, expect_status={before.status})
            work.events.append(about(work.images.get(job.image_id), "image.update", None))
            return
        for row in work.locations.of_image(job.image_id):
            if row.store == STAGING_STORE and row.id is not None:
                work.locations.remove(row.id)  # what is stored counts from here on
        become = replace(
            records.as_it_will_be(image, staged),
            status=ImageStatus.ACTIVE,
            size=measured.size,
            virtual_size=measured.virtual_size,
            checksum=measured.checksum,
            os_hash_algo=measured.hash_algo,
            os_hash_value=measured.hash_value,
        )
        work.images.save(become, expect_status={ImageStatus.IMPORTING})
        active_image = work.images.get(job.image_id)
        work.events.append(about(active_image, "image.upload", None))
        work.events.append(about(active_image, "image.activate", None))

    def unstage(self, job: Job) -> None:
        """See the port."""
        if not self._patiently(lambda work: records.may_undo(self._world, work, job)):
            return
        try:
            self._staging.remove(job.image_id)
        except StoreError as error:  # the reaper of staging comes by
            log.warning("could not remove the staged data of image %s: %s", job.image_id, error)

    def finish(self, job: Job) -> None:
        """See the port."""
        self._patiently(lambda work: self._end(work, job, TaskStatus.SUCCESS, ""))
        log.info("imported image %s", job.image_id)

    def fail(self, job: Job, reason: str) -> None:
        """See the port."""
        ended_here = self._patiently(lambda work: self._end_failed(work, job, reason))
        if ended_here:
            log.warning("import %s of image %s failed: %s", job.task_id, job.image_id, reason)

    def _end_failed(self, work: UnitOfWork, job: Job, reason: str) -> bool:
        if not self._end(work, job, TaskStatus.FAILURE, reason):
            return False
        if job.method != records.COPY:
            try:
                image = work.images.get(job.image_id)
            except ImageNotFound:
                return True  # which is why it failed
            work.events.append(about_failure(image, None, reason))
        return True

    def _end(self, work: UnitOfWork, job: Job, status: TaskStatus, reason: str) -> bool:
        """End the task and let the image go; False when there was nothing to end."""
        if not records.may_undo(self._world, work, job):
            return False
        is_ended = self._end_task(work, job, status, reason)
        is_free = records.let_go(work, job, failed=status is TaskStatus.FAILURE)
        return is_ended or is_free

    def _end_task(self, work: UnitOfWork, job: Job, status: TaskStatus, reason: str) -> bool:
        try:
            task = work.tasks.get(job.task_id)
        except TaskNotFound:
            return False
        if task.status not in UNFINISHED:
            return False
        hours = self._world.settings.task_time_to_live
        saved = work.tasks.save(
            ended(task, status, reason, hours=hours), expect_status={task.status}
        )
        work.events.append(about_task(saved, f"task.{status.value}"))
        return True

    def _give_up(self, job: Job, reason: str) -> None:
        """Undo an import without its flow."""
        for store in job.stores:
            self.unwrite(job, store)
        self.unstage(job)
        self.fail(job, reason)

    # -- how

    def _beat(self, job: Job) -> Callable[[TaskState], None]:
        def beat(state: TaskState) -> None:
            def write(work: UnitOfWork) -> None:
                _, task = records.mine(self._world, work, job)
                kept = replace(state, tries=TaskState.of(task).tries)
                work.tasks.save(
                    replace(task, result=kept.as_result()), expect_status={task.status}
                )

            self._patiently(write)

        return beat

    def _patiently(self, deed: Callable[[UnitOfWork], T]) -> T:
        """Do something in a transaction."""

        def once() -> T:
            with self._world.metadata.unit_of_work() as work:
                found = deed(work)
                work.commit()
            return found

        return _again(once)

    def _look(self, question: Callable[[UnitOfWork], T]) -> T:
        """Ask something of the records."""

        def once() -> T:
            with self._world.metadata.unit_of_work(read_only=True) as work:
                return question(work)

        return _again(once)


def _again(once: Callable[[], T]) -> T:
    """Do something, and again as long as the database is away.

    Giving up would undo an import for want of a database that its undoing needs as much.
    """
    pause = 0.1
    while True:
        try:
            return once()
        except MetadataUnavailable as error:
            log.warning("an import waits for the database: %s", error)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


def _arguments(task: Task) -> dict[str, Any]:
    """Return what the request said about its method."""
    given = task.input.get("import_req", {}).get("method", {})
    return {name: value for name, value in given.items() if name != "name"}


def _pass_by(stream: ByteStream) -> Location:
    for _ in stream:
        pass
    return Location(url="", store=STAGING_STORE)


def _measured(receipt: Receipt) -> Measured:
    return Measured(
        size=receipt.size,
        checksum=receipt.checksum,
        hash_algo=receipt.hash_algo,
        hash_value=receipt.hash_value,
        virtual_size=receipt.virtual_size,
    )


def _leave(work: UnitOfWork, row: Location) -> None:
    """Let the reaper remove what could not be removed now."""
    work.locations.save(row, expect_status=LocationStatus.PENDING_DELETE)
