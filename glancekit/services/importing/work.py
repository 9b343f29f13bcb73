# SPDX-License-Identifier: Apache-2.0
"""The deeds of an import as flows ask for them (flows/ports.py): which module does which.

How each is done is the business of its module.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from glancekit.core.errors import LimitExceeded, StoreError, StoreNotFound
from glancekit.flows.ports import ImportWork, Job, Measured, Staged, Turn
from glancekit.services.importing import ending, records
from glancekit.services.importing.fetching import Fetching
from glancekit.services.importing.measuring import Measuring
from glancekit.services.importing.patience import patiently
from glancekit.services.importing.showing import show_all
from glancekit.services.importing.steps import Steps
from glancekit.services.importing.turns import Turns
from glancekit.services.importing.writing import Writing
from glancekit.services.staging import Staging
from glancekit.services.world import World

log = logging.getLogger(__name__)


class Work(ImportWork):
    """The deeds, for the imports that this process runs."""

    def __init__(self, world: World, *, max_tries: int, stall_time: float = 3600.0) -> None:
        """Take what an import may cost: tries, and seconds in which a plugin moves nothing."""
        self._world = world
        self._staging = Staging(world.staging)
        self._turns = Turns(world, self._staging, max_tries=max_tries)
        self._fetching = Fetching(world, self._staging, stall_time=stall_time)
        self._steps = Steps(world, self._staging, self._fetching, stall_time=stall_time)
        self._measuring = Measuring(world, self._staging, self._fetching)
        self._writing = Writing(world, self._staging)

    # -- around a flow

    def take(self, task_id: str) -> Turn:
        """See the port."""
        verdict = self._turns.take(task_id)
        if verdict.task is not None and verdict.reason:
            self._give_up(records.job_of(self._world, verdict.task), verdict.reason)
            return Turn.OVER
        return verdict.turn

    def unfinished(self, *, age: float = 0.0) -> Sequence[Job]:
        """See the port."""
        return self._turns.unfinished(age=age)

    def gone(self, holders: Iterable[str]) -> frozenset[str]:
        """See the port."""
        return self._turns.gone(holders)

    # -- the steps, in their order

    def fetch(self, job: Job) -> Staged:
        """See the port."""
        return self._fetching.fetch(job)

    def apply(self, job: Job, step: str, staged: Staged) -> Staged:
        """See the port."""
        return self._steps.apply(job, step, staged)

    def measure(self, job: Job, staged: Staged) -> Measured:
        """See the port."""
        return self._measuring.measure(job, staged)

    def describe(self, job: Job) -> Measured:
        """See the port."""
        return self._measuring.describe(job)

    def write(self, job: Job, store: str, staged: Staged | None, measured: Measured) -> bool:
        """See the port."""
        try:
            self._writing.write(job, store, staged, measured)
        except (StoreError, StoreNotFound, LimitExceeded) as error:
            self.unwrite(job, store)
            if job.all_must_succeed:
                raise
            log.warning("store %s did not get image %s: %s", store, job.image_id, error)
            self._writing.note_failure(job, store)
            return False
        return True

    def activate(self, job: Job, staged: Staged | None, measured: Measured) -> None:
        """See the port."""
        patiently(self._world, lambda work: show_all(self._world, work, job, staged, measured))

    def unstage(self, job: Job) -> None:
        """See the port."""
        if not patiently(self._world, lambda work: records.may_undo(self._world, work, job)):
            return
        try:
            self._staging.remove(job.image_id)
        except StoreError as error:  # the reaper of staging comes by
            log.warning("could not remove the staged data of image %s: %s", job.image_id, error)

    def finish(self, job: Job) -> None:
        """See the port."""
        patiently(self._world, lambda work: ending.succeed(self._world, work, job))
        log.info("imported image %s", job.image_id)

    # -- undoing

    def unapply(self, job: Job, step: str, staged: Staged) -> None:
        """See the port."""
        self._steps.unapply(job, step, staged)

    def unwrite(self, job: Job, store: str) -> None:
        """See the port."""
        self._writing.unwrite(job, store)

    def fail(self, job: Job, reason: str) -> None:
        """See the port."""
        if patiently(self._world, lambda work: ending.fail(self._world, work, job, reason)):
            log.warning("import %s of image %s failed: %s", job.task_id, job.image_id, reason)

    def _give_up(self, job: Job, reason: str) -> None:
        """Undo an import without its flow."""
        for store in job.stores:
            self.unwrite(job, store)
        self.unstage(job)
        self.fail(job, reason)
