# SPDX-License-Identifier: Apache-2.0
"""What callers may know of tasks. Doing their work is the business of who made them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import TaskNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import now
from glancekit.core.model.task import UNFINISHED, Task, TaskQuery, TaskStatus, TaskType
from glancekit.core.turns import require_turn
from glancekit.services.images import find_visible
from glancekit.services.notices import about_task
from glancekit.services.world import World

PAGE = 100
"""Tasks looked at in one go."""

BATCH = 1000
"""Tasks that are forgotten in one transaction."""


class Kept(Protocol):
    """What the clearing of tasks works with."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...


def find(world: World, caller: Identity, query: TaskQuery) -> Sequence[Task]:
    """Return a page of all tasks.

    :raises Forbidden: when the caller may not use the tasks API.
    :raises TaskNotFound: when the marker is unknown.
    """
    world.access.require(caller, "tasks_api_access", owner=caller.project_id)
    world.access.require(caller, "get_tasks", owner=caller.project_id)
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.tasks.find(query)


def show(world: World, caller: Identity, task_id: str) -> Task:
    """Return one task.

    :raises Forbidden: when the caller may not use the tasks API.
    :raises TaskNotFound: when there is none.
    """
    world.access.require(caller, "tasks_api_access", owner=caller.project_id)
    world.access.require(caller, "get_task", owner=caller.project_id)
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.tasks.get(task_id)


def of_image(world: World, caller: Identity, image_id: str) -> list[Task]:
    """Return an image's tasks, an administrator all, others those of their own project.

    Where data is in its store is left out for callers who may not know.

    :raises ImageNotFound: when there is no image that the caller may see.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
        found = work.tasks.of_image(image_id)
    mine = [task for task in found if caller.is_admin or task.owner == caller.project_id]
    if world.access.may(caller, "fetch_image_location", owner=image.owner, image=image):
        return mine
    return [replace(task, input=_without_places(task.input)) for task in mine]


def _without_places(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in ("loc_url", "metadata")}


def is_own(task: Task) -> bool:
    """Say whether nobody asked for a task, so that nobody is told of it: the service itself wants
    the digests of an image, in its time."""
    return bool(task.input.get("own"))


def new_task(caller: Identity, type: TaskType, image_id: str, given: Mapping[str, Any]) -> Task:
    """Return a task that a caller began, not yet kept."""
    return Task(
        id=str(uuid.uuid4()),
        type=type,
        owner=caller.project_id,
        image_id=image_id,
        user_id=caller.user_id,
        request_id=caller.request_id,
        input=given,
    )


def ended(task: Task, status: TaskStatus, message: str = "", *, hours: int) -> Task:
    """Return a task as it is at its end; after so many hours it is forgotten."""
    result = {"image_id": task.image_id} if status is TaskStatus.SUCCESS else None
    return replace(
        task,
        status=status,
        message=message,
        result=result,
        holder=None,
        expires_at=now() + timedelta(hours=hours),
    )


def explain_forgetting(world: Kept) -> Iterator[str]:
    """Tell of each task that has ended whether it is forgotten now, and why."""
    query, moment = TaskQuery(limit=PAGE, descending=False), now()
    while True:
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                page = work.tasks.find(query)
        except TaskNotFound:  # the marker was forgotten meanwhile, by the task itself
            return
        yield from (_fate(task, moment) for task in page)
        if len(page) < PAGE:
            return
        query = replace(query, marker=page[-1].id)


def _fate(task: Task, moment: datetime) -> str:
    what = f"task {task.id} ({task.type} of image {task.image_id}, {task.status})"
    if task.status in UNFINISHED:
        return f"{what}: stays; it has not ended"
    if task.expires_at is None:
        return f"{what}: stays; it does not expire"
    if task.expires_at > moment:
        return f"{what}: stays until {task.expires_at:%Y-%m-%d %H:%M:%S} UTC, by task_time_to_live"
    return f"{what}: is forgotten; it expired at {task.expires_at:%Y-%m-%d %H:%M:%S} UTC"


def forget_expired(world: Kept, *, before: datetime | None = None) -> int:
    """Forget tasks that expired before now, or before then; return how many."""
    moment, count = before or now(), 0
    while True:
        with world.metadata.unit_of_work() as work:
            gone = work.tasks.prune(moment, limit=BATCH)
            for task in gone:
                if not is_own(task):
                    work.events.append(about_task(task, "task.delete"))
            work.commit()
        count += len(gone)
        if len(gone) < BATCH:
            return count
        require_turn()
