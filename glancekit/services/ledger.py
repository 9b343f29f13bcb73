# SPDX-License-Identifier: Apache-2.0
"""What projects took of stores, and for how long: bringing that up to now, and looking it up.

What counts is said by ``core/storage_use``; noting it is the metadata driver's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import now
from glancekit.core.storage_use import StorageUse
from glancekit.services.world import World

BATCH = 200
"""Steps of one transaction, and entries that are looked up at a time."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which entries: of the days from ``since`` to before ``until``; None stands for all."""

    since: datetime = EARLIEST
    until: datetime = LATEST
    project_id: str | None = None
    store: str | None = None


def settle(metadata: MetadataDriver) -> int:
    """Enter all that was taken up to now; return in how many steps.

    Each transaction is short, and what it entered stays when a later one is cut off.
    """
    until, total = now(), 0
    while True:
        with metadata.unit_of_work() as work:
            done = work.ledger.settle(until, limit=BATCH)
            work.commit()
        if not done:
            return total
        total += done


def page(
    world: World, caller: Identity, span: Span, *, after: StorageUse | None, limit: int
) -> Sequence[StorageUse]:
    """Return entries in the order of day, project and store, at most so many, behind one of them.

    With the first page, what was taken is entered up to now.

    :raises Forbidden: when the caller may not see it.
    """
    world.access.require(caller, "get_usage", owner=caller.project_id)
    if after is None:
        settle(world.metadata)
    if not limit:
        return []
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.ledger.find(
            since=span.since,
            until=span.until,
            project_id=span.project_id,
            store=span.store,
            after=after,
            limit=limit,
        )


def entries(work: UnitOfWork, span: Span) -> Iterator[StorageUse]:
    """Yield entries in the order of day, project and store, as many as are read at a time."""
    last: StorageUse | None = None
    while page := work.ledger.find(
        since=span.since,
        until=span.until,
        project_id=span.project_id,
        store=span.store,
        after=last,
        limit=BATCH,
    ):
        yield from page
        last = page[-1]


def forget(metadata: MetadataDriver, days: int) -> int:
    """Forget entries of more than so many days ago; return how many."""
    with metadata.unit_of_work() as work:
        count = work.ledger.prune(now() - timedelta(days=days))
        work.commit()
    return count
