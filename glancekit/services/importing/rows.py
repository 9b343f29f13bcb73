# SPDX-License-Identifier: Apache-2.0
"""The rows of copies that an import is about to write, or to take away again.

They are written before the bytes move, so that whoever comes after a kill knows of them. Moving
the bytes is the business of ``fetching`` and ``writing``.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import StoreFailed
from glancekit.core.model.image import Location
from glancekit.core.model.status import LocationStatus
from glancekit.flows.ports import Job
from glancekit.services import acting, quotas
from glancekit.services.importing import records
from glancekit.services.world import World


def find(world: World, work: UnitOfWork, job: Job, store: str) -> Location | None:
    """Return the row of a job's image in a store, if there is one."""
    records.mine(world, work, job)
    rows = (row for row in work.locations.of_image(job.image_id) if row.store == store)
    return next(rows, None)


def intend(
    world: World,
    work: UnitOfWork,
    job: Job,
    store: str,
    *,
    size: int | None = None,
    allowed: quotas.Allowance = quotas.UNLIMITED,
) -> Location:
    """Write down that bytes are about to go to a store; take over what a dead one wrote."""
    image, _ = records.mine(world, work, job)
    rows = [row for row in work.locations.of_image(job.image_id) if row.store == store]
    holder = world.lease.holder
    if rows:
        writing = replace(rows[0], holder=holder)
        work.locations.save(writing, expect_status=LocationStatus.WRITING)
    else:
        writing = work.locations.add(acting.intent(world.stores, store, image, holder))
    quotas.reserve(work, allowed, image.owner, writing, size)
    return writing


def forget(world: World, work: UnitOfWork, job: Job, row: Location) -> None:
    """Forget that bytes were about to go to a store, which has not taken any."""
    records.mine(world, work, job)
    if row.id is not None:
        work.locations.remove(row.id)


def take_doomed(world: World, work: UnitOfWork, job: Job, row: Location) -> Location:
    """Make what a dead process was removing ours, as if that had died while it wrote.

    An undoing may die like anything else, and the reaper leaves to us what an import has.

    :raises StoreFailed: when somebody is at it, or it could not be removed before.
    """
    records.mine(world, work, job)
    if not _is_dead_undoing(world, work, row):
        raise StoreFailed(
            "it has data of the image that are not removed yet",
            store=row.store,
            operation="write",
        )
    taken = replace(row, url="", status=LocationStatus.WRITING, holder=world.lease.holder)
    work.locations.save(taken, expect_status=LocationStatus.PENDING_DELETE)
    return taken


def condemn(world: World, work: UnitOfWork, job: Job, store: str) -> Location | None:
    """Write down that bytes are about to go which nobody was shown."""
    if not records.may_undo(world, work, job):
        return None
    for row in work.locations.of_image(job.image_id):
        is_ours = row.status is LocationStatus.WRITING or _is_dead_undoing(world, work, row)
        if row.store == store and is_ours:
            doomed = replace(row, status=LocationStatus.PENDING_DELETE, holder=world.lease.holder)
            work.locations.save(doomed, expect_status=row.status)
            return doomed
    return None


def leave(work: UnitOfWork, row: Location) -> None:
    """Let the reaper remove what could not be removed now."""
    work.locations.save(replace(row, holder=None), expect_status=LocationStatus.PENDING_DELETE)


def _is_dead_undoing(world: World, work: UnitOfWork, row: Location) -> bool:
    """Say whether a process died while it removed a row's data."""
    is_doomed = row.status is LocationStatus.PENDING_DELETE and row.holder is not None
    return is_doomed and not records.is_another_at_it(world, work, row.holder)
