# SPDX-License-Identifier: Apache-2.0
"""An import's bytes into one store, and out of it again where nobody was shown them.

Which stores, and what becomes of the import when one fails, is the business of ``work``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    BlobNotFound,
    Conflict,
    ImageNotFound,
    StoreError,
    StoreNotFound,
)
from glancekit.core.model.image import Location
from glancekit.core.model.status import LocationStatus
from glancekit.core.stream import ByteStream, FileStream
from glancekit.core.transfer import TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.flows.ports import Job, Measured, Staged
from glancekit.services import acting, copies, quotas
from glancekit.services.attempts import Attempt
from glancekit.services.importing import records, rows
from glancekit.services.importing.patience import beat, look, patiently, require_mine
from glancekit.services.importing.pulse import Pulse
from glancekit.services.importing.showing import show
from glancekit.services.staging import Staging
from glancekit.services.world import World

log = logging.getLogger(__name__)


class Writing:
    """Writes to the stores of a world what is staged, or what another store has of the image."""

    def __init__(self, world: World, staging: Staging) -> None:
        self._world = world
        self._staging = staging

    def write(self, job: Job, store_id: str, staged: Staged | None, measured: Measured) -> None:
        """Put the bytes into a store, if they are not there.

        :raises StoreError: when it does not take them.
        :raises StoreNotFound: when there is no such store any more.
        :raises LimitExceeded: when the project may not have so much.
        """
        self._world.stores.get(store_id)  # which is to be told before anything is written down
        row = patiently(self._world, lambda work: rows.find(self._world, work, job, store_id))
        if row is not None and row.status is LocationStatus.ACTIVE:
            return
        if row is not None and row.status is LocationStatus.PENDING_DELETE:
            doomed = row
            row = patiently(
                self._world, lambda work: rows.take_doomed(self._world, work, job, doomed)
            )
        if row is not None and row.url == "":
            # of who died while writing it
            acting.store_of(self._world.stores, row).discard(job.image_id)
        if row is None or row.url == "":
            # Opened before anything is written down: what cannot be read leaves nothing to undo.
            with self._source(job, staged) as source:
                row = self._moved(job, store_id, source, staged, measured)
        written = row
        patiently(self._world, lambda work: self._written(work, job, written, staged, measured))

    def note_failure(self, job: Job, store: str) -> None:
        """Write down that a store did not get the image."""

        def note(work: UnitOfWork) -> None:
            image, _ = records.mine(self._world, work, job)
            changed = records.moved(image, [store], failed=True)
            work.images.save(changed, expect_status={image.status})

        patiently(self._world, note)

    def unwrite(self, job: Job, store: str) -> None:
        """Take away what was written to a store and is not shown."""
        row = patiently(self._world, lambda work: rows.condemn(self._world, work, job, store))
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
            patiently(self._world, lambda work: rows.leave(work, row))
            return
        patiently(self._world, lambda work: work.locations.remove(row.id or 0))

    def _intend(self, job: Job, store: str, size: int) -> Location:
        try:
            allowed = quotas.allowance_for(self._world, job.image_id)
        except ImageNotFound as error:
            raise Conflict(f"Image {job.image_id} was deleted while it was imported") from error
        return patiently(
            self._world,
            lambda work: rows.intend(self._world, work, job, store, size=size, allowed=allowed),
        )

    def _moved(
        self,
        job: Job,
        store_id: str,
        source: ByteStream,
        staged: Staged | None,
        measured: Measured,
    ) -> Location:
        """Move the bytes, and return the row that says where they are; it is not written yet."""
        writing = self._intend(job, store_id, measured.size)
        attempt = Attempt(acting.store_of(self._world.stores, writing), job.image_id)
        try:
            location = self._move(job, attempt, source, staged, measured)
        except BaseException:
            if attempt.left_nothing:
                patiently(self._world, lambda work: rows.forget(self._world, work, job, writing))
            raise
        return replace(writing, url=location.url, metadata=location.metadata, size=measured.size)

    def _move(
        self,
        job: Job,
        attempt: Attempt,
        source: ByteStream,
        staged: Staged | None,
        measured: Measured,
    ) -> Location:
        pulse = Pulse(beat(self._world, job), f"store {attempt.store_id}", measured.size)
        pulse(0, measured.size)
        plan = TransferPlan(
            declared_size=measured.size,
            size_cap=None,
            hash_algo=measured.hash_algo or self._world.settings.hashing_algorithm,
            expected_checksum=measured.checksum,
            expected_hash=measured.hash_value,
            before_end=lambda: require_mine(self._world, job),
            observers=(pulse,),
        )
        if staged is not None:
            path = self._staging.of(job.image_id) / staged.file
            adopted = attempt.adopt(path, measured.size)
            if adopted is not None:
                return adopted
        return transfer(source, plan, lambda stream: attempt.write(stream, measured.size))[0]

    @contextmanager
    def _source(self, job: Job, staged: Staged | None) -> Iterator[ByteStream]:
        """Open what is staged, or a copy that the image has."""
        if staged is not None:
            path = self._staging.of(job.image_id) / staged.file
            with path.open("rb", buffering=0) as file:
                yield FileStream(file)
            return
        image, _ = look(self._world, lambda work: records.mine(self._world, work, job))
        with copies.open_stream(self._world, image) as stream:
            yield stream

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
            show(work, job, [row], staged, measured)
