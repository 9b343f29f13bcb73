# SPDX-License-Identifier: Apache-2.0
"""Importing as callers ask for it: staging data, beginning an import, ending one, trying again.

What is accepted here is written down with its task; doing it is the business of ``importing``.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.drivers import IMPORT_METHODS
from glancekit.core.errors import (
    Conflict,
    ImageGone,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataError,
    NotFound,
    StatusConflict,
    StoreError,
)
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import NOTHING, Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskStatus, TaskType
from glancekit.core.options import STAGING_STORE
from glancekit.core.quota import Quota
from glancekit.core.stream import ByteStream
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.services import quotas
from glancekit.services.images import find_permitted, find_visible
from glancekit.services.importing import records
from glancekit.services.importing.plugins import ImportPlugin
from glancekit.services.importing.records import COPY, DIRECT
from glancekit.services.notices import about, about_task
from glancekit.services.quotas import Allowance
from glancekit.services.staging import Staging
from glancekit.services.stores import choose
from glancekit.services.tasks import ended, new_task
from glancekit.services.world import World

log = logging.getLogger(__name__)

_WANTED = {DIRECT: ImageStatus.UPLOADING, COPY: ImageStatus.ACTIVE}
"""The status that a method needs; the others need an image that waits for its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """An import as a caller asks for it.

    ``stores`` None: the default one, or all with ``all_stores``.
    """

    method: str
    arguments: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    stores: tuple[str, ...] | None = None
    all_stores: bool = False
    all_stores_must_succeed: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return it as tasks carry it, under upstream's names."""
        told: dict[str, Any] = {
            "method": {"name": self.method, **self.arguments},
            "all_stores_must_succeed": self.all_stores_must_succeed,
        }
        if self.stores is not None:
            told["stores"] = list(self.stores)
        if self.all_stores:
            told["all_stores"] = True
        return told

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> ImportRequest:
        """Return what ``to_json`` made."""
        method = dict(given["method"])
        stores = given.get("stores")
        return cls(
            method=method.pop("name"),
            arguments=method,
            stores=None if stores is None else tuple(stores),
            all_stores=given.get("all_stores", False),
            all_stores_must_succeed=given.get("all_stores_must_succeed", True),
        )


def begin(world: World, caller: Identity, image_id: str, request: ImportRequest) -> Task | None:
    """Begin an import and return its task; None when there is nothing to be done.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Invalid: when the method is not offered, or its arguments make no sense.
    :raises Conflict: when the image is not in a state for it, is being imported, has no formats,
        or a store is not there.
    :raises LimitExceeded: when there is too much of it.
    """
    return _begin(world, caller, image_id, request, TaskType.API_IMAGE_IMPORT, {})


def _begin(
    world: World,
    caller: Identity,
    image_id: str,
    request: ImportRequest,
    type: TaskType,
    given: Mapping[str, Any],
) -> Task | None:
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
    require_offered(world, request.method)
    require_good_arguments(world, request)
    targets = _targets(world, caller, image, request)
    allowed = quotas.allowance(world, image.owner)
    with world.metadata.unit_of_work() as work:
        image = find_visible(world, work, caller, image_id)
        wanted = _without_those_there(image, replace(request, stores=targets))
        if not wanted.stores:
            world.access.require(caller, "copy_image", owner=image.owner, image=image)
            return None
        task = _new_task(caller, image, wanted, type, given)
        _accept(world, work, caller, image, task, wanted, allowed)
        work.commit()
    world.importing.announce(records.job_of(world, task))
    return task


def begin_as(
    world: World,
    caller: Identity,
    image_id: str,
    request: ImportRequest,
    *,
    given: Mapping[str, Any],
) -> Task:
    """Begin an import as a task of the type ``import`` with this input; else as ``begin``."""
    task = _begin(world, caller, image_id, request, TaskType.IMPORT, given)
    assert task is not None  # there is nothing to be copied in such a task
    return task


def require_offered(world: World, method: str) -> None:
    """Insist on an import method.

    :raises Invalid: when it is not offered.
    """
    if method not in world.importing.methods:
        known = ", ".join(world.importing.methods) or "none"
        raise Invalid(f"The import method '{method[:40]}' is not enabled; those that are: {known}")


def require_good_arguments(world: World, request: ImportRequest) -> None:
    """Insist on what a method wants to be told; what the service does by itself wants nothing.

    :raises Invalid: when it is something else.
    :raises Unavailable: when there is no answer in time.
    :raises PluginError: when the method fails in a way of its own.
    """
    driver = world.importing.methods[request.method]
    if driver is not None:
        ask = partial(driver.validate, request.arguments)
        ImportPlugin(world, IMPORT_METHODS, request.method).answer_soon("validate", ask)


def _targets(
    world: World, caller: Identity, image: Image, request: ImportRequest
) -> tuple[str, ...]:
    """Return the stores that shall have the image."""
    if request.all_stores:
        return tuple(store.id for store in world.stores if store.is_writable)
    if request.stores is None:
        is_copy = request.method == COPY
        chosen = world.stores.default if is_copy else choose(world, caller, image, image.size)
        return (chosen.id,)
    stores = tuple(dict.fromkeys(request.stores))
    if not stores:
        raise Invalid("The list of stores is empty; leave it out for the default store")
    for store_id in stores:
        if store_id not in world.stores.by_id:
            known = ", ".join(world.stores.by_id)
            raise Conflict(f"There is no store '{store_id[:80]}' here; the stores are: {known}")
        if not world.stores.get(store_id).is_writable:
            raise Conflict(f"Nothing can be added to store '{store_id}': it is read-only")
    return stores


def _new_task(
    caller: Identity,
    image: Image,
    request: ImportRequest,
    type: TaskType,
    given: Mapping[str, Any],
) -> Task:
    """Return the task of an import, with all that whoever does it has to know."""
    told = {
        **given,
        "image_id": image.id,
        "import_req": request.to_json(),
        "backend": list(request.stores or ()),
        "roles": sorted(caller.roles),
    }
    return new_task(caller, type, image.id, told)


def _accept(
    world: World,
    work: UnitOfWork,
    caller: Identity,
    image: Image,
    task: Task,
    request: ImportRequest,
    allowed: Allowance,
) -> None:
    """Write down an import, with all that its image is told of it."""
    action = "copy_image" if request.method == COPY else "modify_image"
    world.access.require(caller, action, owner=image.owner, image=image)
    stores = request.stores or ()
    if request.method == COPY:
        _require_absent(image, stores)
    records.require_free(work, image)
    _require_ready(work, image, request.method)
    _hold(work, image, task, request.method, stores, allowed)
    work.events.append(about(work.images.get(image.id), "image.prepare", caller))


def _hold(
    work: UnitOfWork,
    image: Image,
    task: Task,
    method: str,
    stores: Sequence[str],
    allowed: Allowance,
) -> None:
    """Give an image to a task."""
    changed = records.held(image, task, stores)
    if method != COPY:
        changed = replace(changed, status=ImageStatus.IMPORTING)
    saved = work.images.save(changed, expect_status={image.status})
    _require_room(work, allowed, saved, stores)
    work.tasks.add(task)
    work.events.append(about_task(task, "task.create"))


def _without_those_there(image: Image, request: ImportRequest) -> ImportRequest:
    """Return a request for all stores without those that have the image."""
    if request.method != COPY or not request.all_stores:
        return request
    there = {location.store for location in image.locations}
    return replace(request, stores=tuple(one for one in request.stores or () if one not in there))


def _require_absent(image: Image, stores: Sequence[str]) -> None:
    there = {location.store for location in image.locations}
    if double := there.intersection(stores):
        raise Invalid(f"Image {image.id} has its data in store '{min(double)}' already")


def _require_ready(work: UnitOfWork, image: Image, method: str) -> None:
    wanted = _WANTED.get(method, ImageStatus.QUEUED)
    if image.status is not wanted:
        raise StatusConflict(image_id=image.id, status=image.status, wanted=wanted)
    rows = work.locations.of_image(image.id) if method == DIRECT else ()
    if any(row.store == STAGING_STORE for row in rows):
        raise Conflict(f"The data of image {image.id} are still being staged")
    if image.disk_format is None or image.container_format is None:
        raise Conflict(
            "Properties disk_format, container_format must be set before data is imported"
        )


def _require_room(
    work: UnitOfWork, allowed: Allowance, image: Image, stores: Sequence[str]
) -> None:
    """Refuse early what could not end well, as far as the size is known.

    Nothing stays reserved: each store's copy is when its bytes are about to come.
    """
    tried = []
    for store in stores if image.size else ():
        row = Location(
            url="", store=store, image_id=image.id, status=LocationStatus.WRITING, holder=None
        )
        tried.append(work.locations.add(row))
        work.quotas.reserve(tried[-1], image.size or 0)
    allowed.require(work, image.owner, Quota.IMAGE_SIZE_TOTAL, Quota.IMAGE_COUNT_UPLOADING)
    for row in tried:
        work.locations.remove(row.id or 0)


# -- staging


def require_staging(world: World) -> None:
    """Insist on staged data being of use.

    :raises NotFound: when they could not be imported here.
    """
    if DIRECT not in world.importing.methods:
        raise NotFound("The import method glance-direct is not enabled, so nothing can be staged")


def stage(
    world: World, caller: Identity, image_id: str, source: ByteStream, *, size: int | None
) -> None:
    """Take an image's data into staging, from where it is imported.

    :raises NotFound: when staged data could not be imported here.
    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises StatusConflict: when the image does not wait for its data.
    :raises LimitExceeded: when it is too large, for itself or for its project.
    :raises Invalid: when the bytes are not as many as declared.
    """
    require_staging(world)
    staging = Staging(world.staging)
    cap = world.settings.image_size_cap
    if size is not None and size > cap:
        raise LimitExceeded(what="bytes for one image", limit=cap, asked=size)
    allowed = quotas.allowance_for(world, image_id)
    with ExitStack() as undo:
        image, writing = _begin_staging(world, caller, image_id, size, allowed)
        undo.callback(_undo_staging, world, staging, writing)
        staging.remove(image_id)
        plan = TransferPlan(
            declared_size=size,
            size_cap=cap,
            hash_algo=world.settings.hashing_algorithm,
            before_end=partial(require_still_staging, world, writing),
            observers=quotas.observers(world, allowed, writing, size),
        )
        _, receipt = transfer(source, plan, partial(staging.write, image_id))
        staging.publish(image_id, receipt)
        _finish_staging(world, caller, staging, writing, receipt)
        undo.pop_all()
    log.info("staged %d bytes for image %s", receipt.size, image.id)


def _begin_staging(
    world: World, caller: Identity, image_id: str, size: int | None, allowed: Allowance
) -> tuple[Image, Location]:
    with world.metadata.unit_of_work() as work:
        image = find_permitted(world, work, caller, image_id, "modify_image")
        if image.status is not ImageStatus.QUEUED:
            raise StatusConflict(image_id=image_id, status=image.status, wanted=ImageStatus.QUEUED)
        uploading = replace(image, status=ImageStatus.UPLOADING)
        saved = work.images.save(uploading, expect_status={ImageStatus.QUEUED})
        intent = Location(
            url="",
            store=STAGING_STORE,
            image_id=image_id,
            status=LocationStatus.WRITING,
            holder=world.lease.holder,
        )
        writing = work.locations.add(intent)
        quotas.reserve(work, allowed, image.owner, writing, size)
        work.events.append(about(saved, "image.update", caller))
        work.commit()
    return saved, writing


def require_still_staging(world: World, writing: Location) -> None:
    """Insist on an image still being staged, by who holds this row.

    :raises ImageGone: when it was deleted.
    :raises Conflict: when somebody else is at it.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        find_staging(work, writing)


def find_staging(work: UnitOfWork, writing: Location) -> Image:
    """Return the image that is being staged, if it is still the holder of this row that does it.

    :raises ImageGone: when it was deleted.
    :raises Conflict: when somebody else is at it.
    """
    try:
        image = work.images.get(writing.image_id)
    except ImageNotFound as error:
        raise ImageGone(image_id=writing.image_id) from error
    rows = {(row.id, row.holder) for row in work.locations.of_image(writing.image_id)}
    if (writing.id, writing.holder) not in rows:
        raise Conflict(f"Staging data for image {image.id} took too long and was given up")
    return image


def _finish_staging(
    world: World, caller: Identity, staging: Staging, writing: Location, receipt: Receipt
) -> None:
    with world.metadata.unit_of_work() as work:
        image = find_staging(work, writing)
        placed = records.with_properties(image, {records.PLACE: staging.place})
        work.locations.remove(writing.id or 0)  # from here on, it counts by status and size
        saved = work.images.save(
            replace(placed, size=receipt.size), expect_status={ImageStatus.UPLOADING}
        )
        work.events.append(about(saved, "image.update", caller))
        work.commit()


def _undo_staging(world: World, staging: Staging, writing: Location) -> None:
    """Put everything back after a failure; what cannot be done now is left to the reapers."""
    try:
        with world.metadata.unit_of_work(read_only=True) as work:
            rows = {(row.id, row.holder) for row in work.locations.of_image(writing.image_id)}
        if (writing.id, writing.holder) not in rows:
            return  # the reaper was here first
        staging.remove(writing.image_id)
        with world.metadata.unit_of_work() as work:
            work.locations.remove(writing.id or 0)
            records.forget_staged(work, writing.image_id)
            work.commit()
    except StoreError as error:
        log.warning("cannot remove staged data, the reaper will: %s", error)
    except MetadataError as error:
        log.warning("could not put image %s back, will try again: %s", writing.image_id, error)
        world.lease.later(partial(_undo_staging, world, staging, writing))


# -- for operators


def cancel(world: World, task_id: str) -> Task:
    """End an import that has not ended; whoever is at it undoes what was done.

    Where nobody is, the image is free at once, and what was staged or written is left to the
    reapers.

    :raises TaskNotFound: when there is none.
    :raises Conflict: when it has ended, or is none that can be cancelled.
    """
    with world.metadata.unit_of_work() as work:
        task = work.tasks.get(task_id)
        if task.type is TaskType.LOCATION_IMPORT:
            raise Conflict(f"Task {task_id} only reads data that are in use; it cannot be undone")
        if task.status not in UNFINISHED:
            raise Conflict(f"Task {task_id} has ended: {task.status}")
        message = "The import was cancelled by an operator"
        over = ended(task, TaskStatus.FAILURE, message, hours=world.settings.task_time_to_live)
        saved = work.tasks.save(over, expect_status=UNFINISHED)
        work.events.append(about_task(saved, "task.failure"))
        if task.holder is None:
            records.let_go(work, records.job_of(world, task), failed=True)
        work.commit()
    return saved


def retry(world: World, task_id: str) -> Task:
    """Begin an import anew that failed, as a task of its own, in the name of who asked first.

    :raises TaskNotFound: when there is none.
    :raises Conflict: when it has not failed, or the image is not in a state for it.
    :raises LimitExceeded: when there is too much of it.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        task = work.tasks.get(task_id)
    if task.status is not TaskStatus.FAILURE or "import_req" not in task.input:
        raise Conflict(f"Task {task_id} is no import that failed")
    image_id = task.image_id or ""
    allowed = quotas.allowance_for(world, image_id)
    request = ImportRequest.from_json(task.input["import_req"])
    with world.metadata.unit_of_work() as work:
        image = work.images.get(image_id)
        records.require_free(work, image)
        _require_ready(work, image, request.method)
        again = replace(
            Task(id=str(uuid.uuid4()), type=task.type),
            owner=task.owner,
            image_id=image_id,
            user_id=task.user_id,
            request_id=task.request_id,
            input=task.input,
        )
        _hold(work, image, again, request.method, task.input["backend"], allowed)
        work.commit()
    world.importing.announce(records.job_of(world, again))
    return again
