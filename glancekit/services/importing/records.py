# SPDX-License-Identifier: Apache-2.0
"""What an import writes on its image: the properties that nova, cinder and clients watch, and its
hold on the record. Moving bytes is the business of ``fetching`` and ``writing``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Conflict, ImageNotFound, TaskNotFound
from glancekit.core.lease import is_gone
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskType
from glancekit.core.options import STAGING_STORE
from glancekit.flows.ports import Job, Staged
from glancekit.services.notices import about
from glancekit.services.world import World

LOCK = "os_glance_import_task"
"""The task that holds the image."""

GOING = "os_glance_importing_to_stores"
"""Stores that shall have the image and have not yet, with commas between them."""

FAILED = "os_glance_failed_import"
"""Stores that should have got it and did not."""

PLACE = "os_glance_stage_host"
"""The folder and the host where the image's staged data are; no client is shown it."""

PARTS = "parts/"
"""What the leases of uploads in parts begin with; those of processes begin with a host's name."""

COPY = "copy-image"
DIRECT = "glance-direct"

OWN_METHODS = (DIRECT, COPY)
"""Methods whose bytes are with the service already, so that there is nothing to be plugged in."""

STALE = timedelta(hours=1)
"""How long an ended task may still hold its image before another takes it over."""


IMPORTS = (TaskType.API_IMAGE_IMPORT, TaskType.IMPORT)
"""Tasks that flows do."""


def imports_wait(world: World) -> bool:
    """Say whether there is anything for a worker to do."""
    with world.metadata.unit_of_work(read_only=True) as work:
        return any(work.tasks.unfinished(kind, limit=1) for kind in IMPORTS)


def with_properties(image: Image, values: Mapping[str, str | None]) -> Image:
    """Return an image with some properties set, and those of value None gone."""
    merged = {**image.properties, **values}
    return replace(
        image, properties={name: text for name, text in merged.items() if text is not None}
    )


def stores_in(image: Image, name: str) -> list[str]:
    """Return the stores that a property lists."""
    return [store for store in image.properties.get(name, "").split(",") if store]


def moved(image: Image, stores: Collection[str], *, failed: bool) -> Image:
    """Return an image for which some stores are done with, well or not."""
    going = [store for store in stores_in(image, GOING) if store not in stores]
    lost = [store for store in stores_in(image, FAILED) if store not in stores]
    lost += [*stores] if failed else []
    return with_properties(image, {GOING: ",".join(going), FAILED: ",".join(lost)})


def held(image: Image, task: Task, stores: Iterable[str]) -> Image:
    """Return an image that is being imported to stores by a task."""
    going = list(stores)
    lost = [store for store in stores_in(image, FAILED) if store not in going]
    return with_properties(image, {LOCK: task.id, GOING: ",".join(going), FAILED: ",".join(lost)})


def require_free(work: UnitOfWork, image: Image) -> None:
    """Insist that no other import has the image.

    :raises Conflict: when one has.
    """
    holder = image.properties.get(LOCK)
    if holder is None:
        return
    try:
        task = work.tasks.get(holder)
    except TaskNotFound:
        return
    if task.status in UNFINISHED or task.updated_at > now() - STALE:
        raise Conflict(f"Image {image.id} is being imported already, by task {holder}")


def mine(world: World, work: UnitOfWork, job: Job) -> tuple[Image, Task]:
    """Return image and task of an import that this process is at.

    :raises Conflict: when it is not, or not any more.
    """
    try:
        task = work.tasks.get(job.task_id)
        image = work.images.get(job.image_id)
    except TaskNotFound as error:
        raise Conflict(f"Task {job.task_id} is gone") from error
    except ImageNotFound as error:
        raise Conflict(f"Image {job.image_id} was deleted while it was imported") from error
    if image.status is ImageStatus.PENDING_DELETE:
        raise Conflict(f"Image {job.image_id} was deleted while it was imported")
    if task.status not in UNFINISHED:
        raise Conflict(task.message or f"Task {task.id} was ended")
    if task.holder != world.lease.holder or image.properties.get(LOCK) != task.id:
        raise Conflict(f"Task {task.id} was taken over by another worker")
    return image, task


def is_another_at_it(world: World, work: UnitOfWork, holder: str | None) -> bool:
    """Say whether a process other than this one lives and has what the holder has."""
    if holder is None or holder == world.lease.holder:
        return False
    return holder in work.leases.holders(alive_at=now()) and not is_gone(holder)


def may_undo(world: World, work: UnitOfWork, job: Job) -> bool:
    """Say whether nobody else is at an import, so that it may be undone here."""
    try:
        task = work.tasks.get(job.task_id)
    except TaskNotFound:
        return True
    return task.holder in (None, world.lease.holder)


def as_it_will_be(image: Image, staged: Staged | None) -> Image:
    """Return the record with what its staged data make of it."""
    if staged is None:
        return image
    changed = with_properties(image, staged.properties)
    return replace(changed, **dict(staged.attributes))


_DESCRIBED = ("disk_format", "container_format", "min_disk", "min_ram", "name")


def difference(before: Image, after: Image, staged: Staged) -> Staged:
    """Return what is staged, with what a step or source changed of the record."""
    changed: dict[str, Any] = {
        name: getattr(after, name)
        for name in _DESCRIBED
        if getattr(after, name) != getattr(before, name)
    }
    names = before.properties.keys() | after.properties.keys()
    properties = {
        name: after.properties.get(name)
        for name in names
        if not name.startswith("os_glance")
        and before.properties.get(name) != after.properties.get(name)
    }
    return replace(
        staged,
        attributes={**staged.attributes, **changed},
        properties={**staged.properties, **properties},
    )


def job_of(world: World, task: Task) -> Job:
    """Return the work that a task stands for, as the service is configured now."""
    request = task.input.get("import_req", {})
    method = str(request.get("method", {}).get("name", ""))
    is_copy = method == COPY
    stores = tuple(task.input.get("backend", ()))
    return Job(
        task_id=task.id,
        image_id=task.image_id or "",
        project=task.owner or "",
        method=method,
        steps=() if is_copy else tuple(world.importing.steps),
        stores=stores,
        all_must_succeed=bool(request.get("all_stores_must_succeed", True)),
        stages=not is_copy,
        in_parallel=world.importing.max_parallel_stores > 1 and len(stores) > 1,
    )


def caller_of(world: World, task: Task) -> Identity:
    """Return who asked for an import, as far as that is kept: without a token.

    Whether they administer this service is for its rules to say, as for each request.
    """
    kept = Identity(
        user_id=task.user_id,
        project_id=task.owner,
        roles=frozenset(task.input.get("roles", ())),
        request_id=task.request_id,
    )
    return world.access.recognise(kept)


def let_go(work: UnitOfWork, job: Job, *, failed: bool) -> bool:
    """Take an import's hold off its image; False when there is none."""
    try:
        image = work.images.get(job.image_id)
    except ImageNotFound:
        return False
    if image.properties.get(LOCK) != job.task_id:
        return False
    free = with_properties(image, {LOCK: None, PLACE: None})
    if failed:
        free = put_back(moved(free, stores_in(image, GOING), failed=True), job)
        for row in work.locations.of_image(job.image_id):
            if row.store == STAGING_STORE and row.id is not None:
                work.locations.remove(row.id)
    saved = work.images.save(free, expect_status={image.status})
    work.events.append(about(saved, "image.update", None))
    return True


def put_back(image: Image, job: Job) -> Image:
    """Return an image as it is after an import that failed."""
    if job.method == COPY:
        return image
    if image.status is not ImageStatus.IMPORTING:
        return image
    return replace(image, status=ImageStatus.QUEUED, size=None, virtual_size=None)


def is_in_parts(row: Location) -> bool:
    """Say whether a row is of data that are being staged in parts."""
    return row.store == STAGING_STORE and (row.holder or "").startswith(PARTS)


def abandon_parts(work: UnitOfWork, image_id: str) -> None:
    """Let go of an image's upload in parts, if there is one, so that the reaper undoes it."""
    for row in work.locations.of_image(image_id):
        if is_in_parts(row):
            work.leases.release(row.holder or "")


def forget_staged(work: UnitOfWork, image_id: str) -> None:
    """Let an image wait for its data again whose staged data are gone."""
    try:
        image = work.images.get(image_id)
    except ImageNotFound:
        return  # deleted meanwhile
    if image.status is not ImageStatus.UPLOADING:
        return
    free = with_properties(image, {PLACE: None})
    queued = replace(free, status=ImageStatus.QUEUED, size=None, virtual_size=None)
    saved = work.images.save(queued, expect_status={ImageStatus.UPLOADING})
    work.events.append(about(saved, "image.update", None))
