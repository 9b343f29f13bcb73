# SPDX-License-Identifier: Apache-2.0
"""An operator's steps of an import, done to staged bytes and undone.

Which there are and in which order is said in the job; what one does is its driver's business.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from glancekit.core.contracts.importing import StagedImage
from glancekit.core.digesting import CHECKSUM_ALGORITHM
from glancekit.core.drivers import IMPORT_STEPS
from glancekit.core.errors import GlancekitError, Invalid
from glancekit.core.transfer import Receipt
from glancekit.flows.ports import Job, Staged
from glancekit.services.importing import records
from glancekit.services.importing.fetching import Fetching
from glancekit.services.importing.patience import beat, look
from glancekit.services.importing.plugins import ImportPlugin
from glancekit.services.importing.pulse import Pulse
from glancekit.services.staging import Staging, sync_file, sync_folder
from glancekit.services.world import World

log = logging.getLogger(__name__)


class Steps:
    """The steps of a world. One that does not move for ``stall_time`` seconds is given up."""

    def __init__(
        self, world: World, staging: Staging, fetching: Fetching, *, stall_time: float
    ) -> None:
        self._world = world
        self._staging = staging
        self._fetching = fetching
        self._stall_time = stall_time

    def apply(self, job: Job, step: str, staged: Staged) -> Staged:
        """Let a step do its work on what is staged."""
        driver = self._world.importing.steps.get(step)
        if driver is None:
            raise Invalid(f"The import step '{step}' is not available any more")
        self._staging.keep_only(job.image_id, staged.file)
        self._fetching.fetch_what_was_lost(job, staged)
        before = self._as_staged(job, staged)
        plugin = ImportPlugin(self._world, IMPORT_STEPS, step)
        ask = partial(driver.applies_to, before)
        if not plugin.answer("applies_to", ask, self._stall_time, kind=bool):
            return staged
        pulse = Pulse(beat(self._world, job), step, staged.size)
        after = plugin.execute(driver.execute, before, pulse, self._stall_time)
        sync_file(after.path)
        sync_folder(after.path.parent)
        self._note_digests(after)
        known = replace(staged, file=after.path.name, size=after.path.stat().st_size)
        return records.difference(before.image, after.image, known)

    def unapply(self, job: Job, step: str, staged: Staged) -> None:
        """Remove what a step made."""
        driver = self._world.importing.steps.get(step)
        if driver is None:
            return
        undo = partial(driver.revert, self._as_staged(job, staged))
        try:
            ImportPlugin(self._world, IMPORT_STEPS, step).answer("revert", undo, self._stall_time)
        except GlancekitError:  # a stranger's code; its files go with the folder
            log.exception("step %s could not be undone for image %s", step, job.image_id)

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

    def _as_staged(self, job: Job, staged: Staged) -> StagedImage:
        image, task = look(
            self._world,
            lambda work: (work.images.get(job.image_id), work.tasks.get(job.task_id)),
        )
        return StagedImage(
            image=records.as_it_will_be(image, staged),
            path=self._staging.of(job.image_id) / staged.file,
            caller=records.caller_of(self._world, task),
        )
