# SPDX-License-Identifier: Apache-2.0
"""The end of an import, well or not: its task ends and its image is let go.

What is taken away of its bytes then is the business of ``work``.
"""

from __future__ import annotations

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import ImageNotFound, TaskNotFound
from glancekit.core.model.task import UNFINISHED, TaskStatus
from glancekit.flows.ports import Job
from glancekit.services.importing import records
from glancekit.services.notices import about_failure, about_task
from glancekit.services.tasks import ended
from glancekit.services.world import World


def succeed(world: World, work: UnitOfWork, job: Job) -> None:
    """End an import whose image is active."""
    _end(world, work, job, TaskStatus.SUCCESS, "")


def fail(world: World, work: UnitOfWork, job: Job, reason: str) -> bool:
    """Put the image back, and let the task end in failure; False when there was nothing to end."""
    if not _end(world, work, job, TaskStatus.FAILURE, reason):
        return False
    if job.method != records.COPY:
        try:
            image = work.images.get(job.image_id)
        except ImageNotFound:
            return True  # which is why it failed
        work.events.append(about_failure(image, None, reason))
    return True


def _end(world: World, work: UnitOfWork, job: Job, status: TaskStatus, reason: str) -> bool:
    """End the task and let the image go; False when there was nothing to end."""
    if not records.may_undo(world, work, job):
        return False
    is_ended = _end_task(world, work, job, status, reason)
    is_free = records.let_go(work, job, failed=status is TaskStatus.FAILURE)
    return is_ended or is_free


def _end_task(world: World, work: UnitOfWork, job: Job, status: TaskStatus, reason: str) -> bool:
    try:
        task = work.tasks.get(job.task_id)
    except TaskNotFound:
        return False
    if task.status not in UNFINISHED:
        return False
    hours = world.settings.task_time_to_live
    saved = work.tasks.save(ended(task, status, reason, hours=hours), expect_status={task.status})
    work.events.append(about_task(saved, f"task.{status.value}"))
    return True
