# SPDX-License-Identifier: Apache-2.0
"""Whose turn an import is, and which of them have not ended.

What becomes of one that cannot go on is the business of ``work``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import ImageNotFound, TaskNotFound
from glancekit.core.lease import is_gone
from glancekit.core.model.image import Image, now
from glancekit.core.model.task import UNFINISHED, Task, TaskState, TaskStatus
from glancekit.flows.ports import Job, Turn
from glancekit.services.importing import records
from glancekit.services.notices import about_task
from glancekit.services.staging import Staging
from glancekit.services.world import World

MANY = 10_000
"""Unfinished imports that are looked at."""

HOST_GRACE = timedelta(minutes=10)
"""How long a host with staged data may be away before what needs them fails."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose turn an import is; where ``reason`` is not empty, why ``task`` cannot go on."""

    turn: Turn
    task: Task | None = None
    reason: str = ""


class Turns:
    """Whose turn the imports of a world are, each of which may be begun so many times."""

    def __init__(self, world: World, staging: Staging, *, max_tries: int) -> None:
        self._world = world
        self._staging = staging
        self._max_tries = max_tries

    def take(self, task_id: str) -> Verdict:
        """Make an import this process's own and count the try, if it is its turn."""
        with self._world.metadata.unit_of_work() as work:
            verdict = self._judge(work, task_id)
            if verdict.turn is Turn.MINE and verdict.task is not None and not verdict.reason:
                self._begin(work, verdict.task)
                work.commit()
        return verdict

    def _begin(self, work: UnitOfWork, task: Task) -> None:
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

    def _judge(self, work: UnitOfWork, task_id: str) -> Verdict:
        try:
            task = work.tasks.get(task_id)
        except TaskNotFound:
            return Verdict(Turn.OVER)
        try:
            image = work.images.get(task.image_id or "")
        except ImageNotFound:
            reason = f"Image {task.image_id} was deleted while it was imported"
            return Verdict(Turn.MINE, task, reason)
        if task.status not in UNFINISHED:
            # Cancelled before anybody was at it, or by whom a kill kept from putting it back.
            is_held = image.properties.get(records.LOCK) == task.id
            return Verdict(Turn.MINE, task, task.message) if is_held else Verdict(Turn.OVER)
        if records.is_another_at_it(self._world, work, task.holder):
            return Verdict(Turn.NOT_NOW)
        if unreachable := self._unreachable(work, image, task):
            return unreachable
        return Verdict(Turn.MINE, task, self._too_often(task))

    def _too_often(self, task: Task) -> str:
        """Say that an import was begun too many times, if it was."""
        if TaskState.of(task).tries < self._max_tries:
            return ""
        return (
            f"The import was begun {self._max_tries} times and never came to an end: "
            "it seems to kill the processes that run it ([taskflow] max_tries)"
        )

    def _unreachable(self, work: UnitOfWork, image: Image, task: Task) -> Verdict | None:
        """Say what to do where the bytes are staged on another host."""
        place, _, host = image.properties.get(records.PLACE, "").partition("@")
        if not host or place == self._staging.place_id:
            return None
        since = now() - HOST_GRACE
        alive = work.leases.holders(alive_at=since)
        if task.updated_at > since or any(name.startswith(f"{host}.") for name in alive):
            return Verdict(Turn.NOT_NOW)
        reason = f"The staged data are on host {host}, which is gone; import the image again"
        return Verdict(Turn.MINE, task, reason)

    def unfinished(self, *, age: float) -> Sequence[Job]:
        """Return imports that have not ended and were begun so many seconds ago."""
        since = now() - timedelta(seconds=age)
        with self._world.metadata.unit_of_work(read_only=True) as work:
            kinds = [work.tasks.unfinished(kind, limit=MANY) for kind in records.IMPORTS]
            found = [task for tasks in kinds for task in tasks]
        return [records.job_of(self._world, task) for task in found if task.created_at < since]

    def gone(self, holders: Iterable[str]) -> frozenset[str]:
        """Return those of these holders of claims that are dead."""
        with self._world.metadata.unit_of_work(read_only=True) as work:
            alive = work.leases.holders(alive_at=now())
        return frozenset(name for name in holders if name not in alive or is_gone(name))
