# SPDX-License-Identifier: Apache-2.0
"""Finishing or undoing what was cut off: uploads whose process died, deletes that stopped midway.

When to look is the reaper's business (builtins); here it is told what is dead, and what then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import (
    BlobInUse,
    Conflict,
    ImageNotFound,
)
from glancekit.core.lease import is_gone
from glancekit.core.model.image import Location, now
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.options import STAGING_STORE
from glancekit.core.stores import Stores
from glancekit.core.turns import require_turn
from glancekit.services import acting
from glancekit.services.importing.records import LOCK, forget_staged
from glancekit.services.notices import about
from glancekit.services.removing import is_removed
from glancekit.services.staging import Staging

log = logging.getLogger(__name__)

BATCH = 100
"""Rows looked at in one go, so that a large backlog does not become a large transaction."""

FORGET_LEASES = timedelta(days=1)
"""How long a lease that ran out is kept for people to look at."""


class Recoverable(Protocol):
    """What recovery works with: records and stores."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...

    @property
    def stores(self) -> Stores:
        """Where bytes live."""
        ...

    @property
    def staging(self) -> Path:
        """The folder for data on their way in."""
        ...


def recover(world: Recoverable) -> int:
    """Finish or undo what dead processes left; return how many rows were settled.

    At most ``BATCH`` rows of each kind in a round, so that stores have time for others.
    """
    settled = 0
    for row in _abandoned(world, LocationStatus.WRITING):
        require_turn()
        settled += _undo_write(world, row)
    for row in _abandoned(world, LocationStatus.PENDING_DELETE):
        require_turn()
        settled += finish_delete(world, row)
    with world.metadata.unit_of_work() as work:
        work.leases.prune(now() - FORGET_LEASES)
        work.commit()
    return settled


def explain(world: Recoverable) -> Iterator[str]:
    """Tell of each row that is being written or removed what the next round does, and why."""
    for status in (LocationStatus.WRITING, LocationStatus.PENDING_DELETE):
        for row, reason in _looked_at(world, status):
            what = f"image {row.image_id} in store {row.store}, {row.status}"
            if reason is not None:
                yield f"{what}: stays; {reason}"
            elif status is LocationStatus.WRITING:
                yield f"{what}: what was written goes; {_lost(row)}"
            else:
                yield f"{what}: the data goes, as was decided; {_lost(row)}"


def _lost(row: Location) -> str:
    return "nobody is at it" if row.holder is None else f"{row.holder} is gone"


def explain_staging(world: Recoverable) -> Iterator[str]:
    """Tell of what is staged on this host whether it stays, and why."""
    going = 0
    for image_id in Staging(world.staging).images():
        with world.metadata.unit_of_work(read_only=True) as work:
            if _waits_for_staged(work, image_id):
                yield f"image {image_id}: stays; it waits for what is staged"
                continue
        going += 1
        when = "goes" if going <= BATCH else "goes in a later round"
        yield f"image {image_id}: what is staged {when}; no record wants it"


def clear_staging(world: Recoverable) -> int:
    """Remove what is staged here for images that do not wait for it; return for how many.

    Whoever stages writes that down first, so what is there and not written down is left over. At
    most ``BATCH`` in a round: imports have the same disk.
    """
    staging, cleared = Staging(world.staging), 0
    for image_id in staging.images():
        if cleared == BATCH:
            log.info("there is more staged for nobody, which goes in the next round")
            break
        require_turn()
        with world.metadata.unit_of_work(read_only=True) as work:
            if _waits_for_staged(work, image_id):
                continue
        staging.remove(image_id)
        log.info("removed what was staged for image %s, which does not want it", image_id)
        cleared += 1
    return cleared


def _waits_for_staged(work: UnitOfWork, image_id: str) -> bool:
    try:
        image = work.images.get(image_id)
    except ImageNotFound:
        return False
    if image.status is ImageStatus.UPLOADING or LOCK in image.properties:
        return True
    return any(row.store == STAGING_STORE for row in work.locations.of_image(image_id))


def _abandoned(world: Recoverable, status: LocationStatus) -> Iterator[Location]:
    return (row for row, reason in _looked_at(world, status) if reason is None)


def _looked_at(
    world: Recoverable, status: LocationStatus
) -> Iterator[tuple[Location, str | None]]:
    """Yield rows in a state, each with the reason why it is left alone, None when it is not."""
    with world.metadata.unit_of_work(read_only=True) as work:
        rows = work.locations.with_status(status, limit=BATCH)
        alive = work.leases.holders(alive_at=now())
        held = {row.image_id for row in rows if _is_held(work, row)}
    for row in rows:
        is_left = status is LocationStatus.PENDING_DELETE and row.holder is None
        if row.holder is not None and row.holder in alive and not is_gone(row.holder):
            yield row, f"{row.holder} is at it"
        elif row.image_id in held and not is_left:
            yield row, "whoever goes on with its import sees to it"
        else:
            yield row, None


def _is_held(work: UnitOfWork, row: Location) -> bool:
    """Say whether an import has the image."""
    try:
        return LOCK in work.images.get(row.image_id).properties
    except ImageNotFound:
        return False


def _undo_write(world: Recoverable, row: Location) -> bool:
    """Remove what a dead upload left, then let the image be uploaded to again.

    The row is taken first: a writer that lives after all must not end well behind our look.
    """
    doomed = replace(row, url="", status=LocationStatus.PENDING_DELETE, holder=None)
    with world.metadata.unit_of_work() as work:
        rows = work.locations.of_image(row.image_id)
        if not any((one.id, one.holder) == (row.id, row.holder) for one in rows):
            return False
        try:
            work.locations.save(doomed, expect_status=LocationStatus.WRITING)
        except Conflict:
            return False
        work.commit()
    return finish_delete(world, doomed)


def forget_writing(world: Recoverable, row: Location, *, keep_row: bool = False) -> bool:
    """Put the image of an undone upload back to ``queued``; False when somebody else was quicker.

    ``keep_row``: the bytes could not be removed yet, so the row stays for the reaper.
    """
    with world.metadata.unit_of_work() as work:
        leftover = replace(row, status=LocationStatus.PENDING_DELETE, holder=None)
        try:
            work.locations.save(leftover, expect_status=LocationStatus.WRITING)
        except Conflict:
            return False
        if not keep_row and row.id is not None:
            work.locations.remove(row.id)
        _back_to_queued(work, row.image_id)
        if row.store == STAGING_STORE:
            forget_staged(work, row.image_id)
        work.commit()
    return True


def _back_to_queued(work: UnitOfWork, image_id: str) -> None:
    try:
        image = work.images.get(image_id)
    except ImageNotFound:
        return  # deleted while its data was on the way; there is nothing to put back
    if image.status is not ImageStatus.SAVING:
        return
    queued = replace(image, status=ImageStatus.QUEUED, size=None, virtual_size=None)
    saved = work.images.save(queued, expect_status={ImageStatus.SAVING})
    work.events.append(about(saved, "image.update", None))


def finish_delete(world: Recoverable, row: Location) -> bool:
    """Remove bytes that were condemned, and the image's record with its last copy."""

    def remove() -> None:
        if row.store == STAGING_STORE:
            return Staging(world.staging).remove(row.image_id)
        store = acting.store_of(world.stores, row)
        if row.url:
            store.delete(row)
        else:  # what an upload left before it knew its place
            store.discard(row.image_id)

    try:
        if not is_removed(row, remove):
            return False
    except BlobInUse:
        return _keep_in_use(world, row)
    with world.metadata.unit_of_work() as work:
        if row.id is not None:
            work.locations.remove(row.id)
        if not work.locations.of_image(row.image_id):
            _back_to_queued(work, row.image_id)
        if row.store == STAGING_STORE:
            forget_staged(work, row.image_id)
        _delete_record(work, row.image_id)
        work.commit()
    log.info("done with the condemned data of image %s in store %s", row.image_id, row.store)
    return True


def _keep_in_use(world: Recoverable, row: Location) -> bool:
    """Give a living image its copy back that others depend on; nobody was told that it is gone.

    What has no URL is no copy, but what is left of one: it is only not to be had rid of yet.
    """
    if not row.url:
        log.warning("what is left of a write of image %s is in use, will try again", row.image_id)
        return False
    with world.metadata.unit_of_work() as work:
        try:
            status = work.images.get(row.image_id).status
        except ImageNotFound:
            status = ImageStatus.DELETED
        if status not in (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED):
            log.warning("condemned data of image %s is in use, will try again", row.image_id)
            return False
        alive = replace(row, status=LocationStatus.ACTIVE, holder=None)
        work.locations.save(alive, expect_status=LocationStatus.PENDING_DELETE)
        work.commit()
    log.info("kept the data of image %s in store %s: it is in use", row.image_id, row.store)
    return True


def _delete_record(work: UnitOfWork, image_id: str) -> None:
    if work.locations.of_image(image_id):
        return
    try:
        image = work.images.get(image_id)
    except ImageNotFound:
        return
    if image.status is ImageStatus.PENDING_DELETE:
        gone = replace(image, status=ImageStatus.DELETED)
        work.images.save(gone, expect_status={ImageStatus.PENDING_DELETE})
        work.events.append(about(gone, "image.delete", None))
