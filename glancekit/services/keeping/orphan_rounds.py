# SPDX-License-Identifier: Apache-2.0
"""What becomes of data without rows: it is told, and removed where an operator says so.

What is one is the business of ``orphans``.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from glancekit.core.contracts.store import Blob, SupportsDelete, SupportsListing
from glancekit.core.errors import (
    BlobInUse,
    BlobNotFound,
    CapabilityMissing,
    Conflict,
    StoreError,
    StoreReadOnly,
)
from glancekit.core.model.events import Event
from glancekit.core.model.image import now
from glancekit.core.stores import Store
from glancekit.core.turns import require_turn
from glancekit.services.keeping.orphans import Look, Orphan, Tally, is_named_by_now
from glancekit.services.world import World

log = logging.getLogger(__name__)

FEW = 10
"""Data without records that are never too many to be removed."""

NAMED = 20
"""Of what was found in one store, as many are named in the log and in the event."""

CHUNK = 1000
"""Data that is removed between two looks through all records. Those that were added since a look
are looked at before each removal; none gets another image's URL later than it was added."""

BLURRED = timedelta(minutes=1)
"""How far two answers may be apart as to when the same data came: two hosts' clocks are in it."""

_MARK = "orphans: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the last look through a store came to; ``error`` says why it ended early."""

    store: str
    at: datetime
    blobs: int
    orphans: int
    bytes: int
    young: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an orphan that was to be removed; ``reason`` says why it stays."""

    orphan: Orphan
    is_removed: bool
    reason: str = ""


# -- finding


def look_through_all(world: World) -> str | None:
    """Look through all stores that can be listed, keep what was found and tell of it.

    Returns what was found in words, None where there was nothing to look through.

    :raises MetadataError: when records cannot be read or written.
    :raises Unavailable: when too many locations wait to be read.
    """
    found = [_look_through(world, store) for store in listable(world)]
    return ", ".join(_in_words(one) for one in found) or None


def listable(world: World) -> list[Store]:
    """Return the stores that can tell what is in them."""
    return [store for store in world.stores if store.supports(SupportsListing)]


def explain(world: World) -> Iterator[str]:
    """Say what a run would tell, doing nothing."""
    for store in listable(world):
        look = Look(world, store, world.auditing.orphan_age)
        try:
            for orphan in look.orphans():
                yield (
                    f"store {store.id}: {orphan.shown_url} would be told: it is there since "
                    f"{orphan.modified_at}, and no record leads to it"
                )
        except StoreError as error:
            yield f"store {store.id}: {error}"


def last_found(world: World) -> list[Found]:
    """Return what the last look through each store came to; nothing of those never looked at."""
    with world.metadata.unit_of_work(read_only=True) as work:
        marks = [(store.id, work.marks.get(_MARK + store.id)) for store in world.stores]
    return [_read(store, text) for store, text in marks if text is not None]


def _look_through(world: World, store: Store) -> Found:
    look, named, error = Look(world, store, world.auditing.orphan_age), list[Orphan](), ""
    try:
        for orphan in look.orphans():
            if len(named) < NAMED:
                named.append(orphan)
                log.warning(
                    "store %s: %s is there since %s, and no record leads to it",
                    *(store.id, orphan.shown_url, orphan.modified_at),
                )
    except StoreError as failure:
        error = str(failure)
        log.warning("store %s could not be looked through: %s", store.id, failure)
    return keep(world, store, look.tally, named, error)


def keep(
    world: World, store: Store, tally: Tally, named: Sequence[Orphan] = (), error: str = ""
) -> Found:
    """Keep what a look through a store came to, and tell of what is ``named``."""
    found = Found(
        store=store.id,
        at=now(),
        blobs=tally.blobs,
        orphans=tally.orphans,
        bytes=tally.bytes,
        young=tally.young,
        error=error,
    )
    with world.metadata.unit_of_work() as work:
        work.marks.put(_MARK + store.id, _written(found))
        if named:
            work.events.append(_about(found, named))
        work.commit()
    return found


def _in_words(found: Found) -> str:
    failed = f", ended early: {found.error}" if found.error else ""
    return f"store {found.store}: {found.orphans} of {found.blobs} without a record{failed}"


def _about(found: Found, named: Sequence[Orphan]) -> Event:
    first = [
        {
            "image_id": orphan.image_id,
            "url": orphan.shown_url,
            "size": orphan.size,
            "modified_at": orphan.modified_at.isoformat(),
        }
        for orphan in named
    ]
    payload = {
        "store": found.store,
        "blobs": found.blobs,
        "orphans": found.orphans,
        "bytes": found.bytes,
        "first": first,
    }
    return Event(type="store.orphans.found", subject=found.store, payload=payload)


def _written(found: Found) -> str:
    return json.dumps(
        {
            "at": found.at.isoformat(),
            "blobs": found.blobs,
            "orphans": found.orphans,
            "bytes": found.bytes,
            "young": found.young,
            "error": found.error[:500],
        }
    )


def _read(store: str, text: str) -> Found:
    kept: dict[str, Any] = json.loads(text)
    at = datetime.fromisoformat(kept.pop("at"))
    return Found(store=store, at=at, **kept)


# -- removing, which an operator asks for


def require_removable(store: Store) -> None:
    """Insist on a store that can be listed and from which can be removed.

    :raises CapabilityMissing: when it cannot.
    :raises StoreReadOnly: when the operator does not let it.
    """
    store.require(SupportsListing)
    if not store.supports(SupportsDelete):
        raise CapabilityMissing(store=store.id, capability=SupportsDelete.__name__)
    if store.read_only:
        raise StoreReadOnly(store=store.id, operation="delete")


def require_plausible(store: Store, tally: Tally) -> None:
    """Insist on that most of what a store has is in the records, or else these may be the wrong
    ones: another service's, or those of an older backup.

    :raises Conflict: when it is not so.
    """
    if tally.orphans > FEW and tally.orphans * 2 > tally.blobs:
        raise Conflict(
            f"Nothing is removed from store '{store.id}': {tally.orphans} of its {tally.blobs} "
            "images have no record. See whether these are the right records, and whether nobody "
            "else keeps images there"
        )


def remove_all(
    world: World, store: Store, age: timedelta, *, per_second: float
) -> Iterator[Outcome]:
    """Look through a store once more, and remove what has no record; yield what became of each.

    :param per_second: removals in a second at most.
    :raises StoreError: when the store cannot be listed any further.
    :raises MetadataError: when records cannot be read.
    """
    look, left = Look(world, store, age, suspects=CHUNK), Tally()
    for orphan in look.orphans():
        begun = time.monotonic()
        outcome = remove(world, store, orphan, age)
        if not outcome.is_removed:
            left.take(orphan)
        yield outcome
        time.sleep(max(0.0, begun + 1 / per_second - time.monotonic()))
    left.blobs, left.young = look.tally.blobs - look.tally.orphans + left.orphans, look.tally.young
    keep(world, store, left)


def remove(world: World, store: Store, orphan: Orphan, age: timedelta) -> Outcome:
    """Remove an orphan that still is one: looked at once more, the store before the records.

    :raises MetadataError: when records cannot be read.
    """
    require_removable(store)
    require_turn()
    try:
        reason = _reason_to_stay(world, store, orphan, age)
        if reason is None:
            store.delete(orphan.location)
    except BlobNotFound:
        reason = "it is gone by now"
    except BlobInUse:
        reason = "others depend on it"
    except StoreError as error:
        reason = str(error)
    if reason is not None:
        log.info("store %s: %s is not removed: %s", store.id, orphan.shown_url, reason)
        return Outcome(orphan, False, reason)
    log.warning("store %s: removed %s, to which no record led", store.id, orphan.shown_url)
    with world.metadata.unit_of_work() as work:
        work.events.append(_about_removed(orphan))
        work.commit()
    return Outcome(orphan, True)


def _reason_to_stay(world: World, store: Store, orphan: Orphan, age: timedelta) -> str | None:
    blob = Blob(orphan.url, orphan.image_id)
    still = Look(world, store, age).judge(blob)
    if still is None:
        return "it is gone by now, or has a record, or is new"
    if still.size != orphan.size or abs(still.modified_at - orphan.modified_at) > BLURRED:
        return "it was changed meanwhile"
    if is_named_by_now(world, orphan):
        return "a record leads to it by now"
    return None


def _about_removed(orphan: Orphan) -> Event:
    payload = {
        "store": orphan.store,
        "image_id": orphan.image_id,
        "url": orphan.shown_url,
        "size": orphan.size,
        "modified_at": orphan.modified_at.isoformat(),
    }
    return Event(type="store.orphan.removed", subject=orphan.store, payload=payload)
