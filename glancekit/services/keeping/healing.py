# SPDX-License-Identifier: Apache-2.0
"""Replacing lost copies, in their own store, by the bytes of a good one.

Names in a store are given by the image, so a bad copy has to go before a good one takes its
place. It goes only when another copy was just read and found good. Its record says that it is
lost, and who is at it, from before the first deed until the new copy is whole: nobody is given it
meanwhile, and whoever finds the record of a process that died begins anew.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.contracts.store import SupportsDelete, SupportsWrite
from glancekit.core.errors import (
    BlobInUse,
    BlobNotFound,
    Conflict,
    GlancekitError,
    MetadataError,
    StoreError,
    Unavailable,
)
from glancekit.core.lease import is_gone
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store
from glancekit.services import acting
from glancekit.services.attempts import Attempt
from glancekit.services.keeping.copying import good_copies, note_good, write_from_good
from glancekit.services.keeping.examining import READABLE, find_row
from glancekit.services.notices import about_copy
from glancekit.services.world import World

log = logging.getLogger(__name__)

SUSPICIOUS = 10
"""Missing copies in one store from which on it is the store that is taken to be wrong, unless
something else is still there."""

PROBES = 5
"""Other copies of such a store that are looked for."""

PAUSE = 600.0
"""Seconds until a repair that failed is tried again."""

BATCH = 100
"""Records looked at in one go."""

_LOST = (Finding.BAD, Finding.MISSING)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a lost copy; ``reason`` says why it was not repaired."""

    copy: Location
    is_repaired: bool
    reason: str = ""


class _NotNow(Exception):
    """A repair cannot be; the message says why."""


class Healer:
    """Repairs what audits found lost. What failed is left alone for a while."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._not_before: dict[int | None, float] = {}

    def heal_all(self) -> Iterator[Outcome]:
        """Repair every lost copy that can be, and yield what became of each that was tried.

        :raises MetadataError: when records cannot be read or written.
        :raises Unavailable: when the process is stopping.
        """
        suspects = self._suspects()
        for copy in list(lost_copies(self._world)):
            is_early = self._not_before.get(copy.id, 0.0) > time.monotonic()
            if copy.store in suspects or is_early:
                continue
            outcome = heal(self._world, copy)
            self._not_before.pop(copy.id, None)
            if not outcome.is_repaired:
                self._not_before[copy.id] = time.monotonic() + PAUSE
            yield outcome

    def explain(self) -> Iterator[str]:
        """Say what would be repaired, doing nothing."""
        suspects = self._suspects()
        for copy in lost_copies(self._world):
            what = f"the copy of image {copy.image_id} in store {copy.store}, which is"
            if copy.store in suspects:
                yield f"would leave {what} {copy.finding}: too much is missing in that store"
            else:
                yield f"would replace {what} {copy.finding}: {copy.reason}"

    def _suspects(self) -> frozenset[str]:
        """Return stores in which so much is missing that something else must be wrong."""
        missing = Counter(
            copy.store
            for copy in lost_copies(self._world)
            if copy.finding is Finding.MISSING and copy.url
        )
        many = [store for store, count in missing.items() if count >= SUSPICIOUS]
        suspects = frozenset(store for store in many if not self._has_something(store))
        for store in suspects:
            log.error(
                "store %s: %d copies are missing, and nothing else is found there; nothing is "
                "written to it to replace them. 'glancekit audit run IMAGE' does all the same",
                *(store, missing[store]),
            )
        return suspects

    def _has_something(self, store_id: str) -> bool:
        store = self._world.stores.by_id.get(store_id)
        if store is None:
            return False
        with self._world.metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.due(store_id, before=now(), limit=BATCH)
        there = [row for row in rows if not row.is_lost][-PROBES:]
        return any(_is_there(store, row) for row in there)


def lost_copies(world: World) -> Iterator[Location]:
    """Yield the active copies that audits found lost."""
    for finding in _LOST:
        last: int | None = 0
        while last is not None:
            with world.metadata.unit_of_work(read_only=True) as work:
                page = work.locations.found(finding, limit=BATCH, after=last)
            yield from (row for row in page if row.status is LocationStatus.ACTIVE)
            last = page[-1].id if page else None


def _is_there(store: Store, copy: Location) -> bool:
    try:
        store.size(copy)
    except StoreError:
        return False
    return True


def heal(world: World, copy: Location) -> Outcome:
    """Replace a lost copy by the bytes of a good one.

    :raises MetadataError: when records cannot be read or written.
    :raises Unavailable: when the process is stopping.
    """
    try:
        _heal(world, copy)
    except (MetadataError, Unavailable):
        raise
    except (_NotNow, GlancekitError) as error:
        log.warning(
            "image %s, store %s: the lost copy was not replaced: %s",
            *(copy.image_id, copy.store, error),
        )
        return Outcome(copy, False, str(error))
    log.warning(
        "image %s, store %s: the copy was %s (%s) and was replaced by a good one",
        *(copy.image_id, copy.store, copy.finding, copy.reason),
    )
    return Outcome(copy, True)


def _heal(world: World, copy: Location) -> None:
    with world.metadata.unit_of_work(read_only=True) as work:
        image = work.images.get(copy.image_id)
    world = acting.as_service(world, image.owner)
    store = _require_able(world, image, copy)
    others = replace(image, locations=tuple(one for one in image.locations if one.id != copy.id))
    if next(good_copies(world, others), None) is None:
        raise _NotNow("there is no good copy that can be read now")
    held = _claim(world, copy)
    try:
        emptied = _remove(world, store, image, held)
        location = write_from_good(
            world, others, Attempt(store, image.id), lambda: _require_held(world, emptied)
        )
        _finish(world, emptied, location)
    except BaseException:
        _let_go(world, store, held)
        raise


def _require_able(world: World, image: Image, copy: Location) -> Store:
    if image.status not in READABLE:
        raise _NotNow(f"the image is {image.status}")
    if copy.url and any(one.url == copy.url and one.id != copy.id for one in image.locations):
        raise _NotNow("another record leads to the same bytes")
    store = world.stores.get(copy.store)
    store.require_writable()
    for needed in (SupportsWrite, SupportsDelete):
        store.require(needed)
    return store


def _claim(world: World, copy: Location) -> Location:
    """Write down who is at it, unless somebody alive is."""
    with world.metadata.unit_of_work() as work:
        image = work.images.get(copy.image_id)
        row = find_row(work, copy)
        if row is None or not row.is_lost:
            raise _NotNow("it was changed meanwhile")
        alive = work.leases.holders(alive_at=now())
        if row.holder is not None and row.holder in alive and not is_gone(row.holder):
            raise _NotNow("it is being repaired")
        held = replace(row, holder=world.lease.holder)
        work.locations.save(held, expect_status=LocationStatus.ACTIVE)
        work.images.save(image, expect_status={image.status})
        work.commit()
    return held


def _remove(world: World, store: Store, image: Image, held: Location) -> Location:
    """Remove the bytes that are wrong, and then say that nothing is there but what is written."""
    if held.url:
        try:
            store.delete(held)
        except BlobNotFound:
            log.debug("the lost copy of image %s in %s is gone", held.image_id, store.id)
        except BlobInUse as error:
            raise _NotNow(str(error)) from error
    else:
        store.discard(held.image_id)  # of who died while writing it
    reason = f"it was {held.finding} ({held.reason}), and is written anew" if held.url else ""
    gone = replace(held, finding=Finding.MISSING, reason=reason or held.reason)
    intent = acting.intent(world.stores, store.id, image, world.lease.holder)
    emptied = replace(gone, url="", metadata=intent.metadata)
    with world.metadata.unit_of_work() as work:
        work.images.get(held.image_id)
        _mine(work, held)
        work.locations.note(gone, since=held.audited_at)
        work.locations.save(emptied, expect_status=LocationStatus.ACTIVE)
        work.commit()
    return emptied


def _require_held(world: World, held: Location) -> None:
    with world.metadata.unit_of_work(read_only=True) as work:
        _mine(work, held)


def _mine(work: UnitOfWork, held: Location) -> Location:
    row = find_row(work, held)
    if row is None or row.holder != held.holder:
        raise Conflict(
            f"The copy of image {held.image_id} in store '{held.store}' was changed while it was "
            "repaired"
        )
    return row


def _finish(world: World, emptied: Location, location: Location) -> None:
    """Let the record lead to the new copy: active and verified in one commit."""
    with world.metadata.unit_of_work() as work:
        image = work.images.get(emptied.image_id)
        _mine(work, emptied)
        made = replace(emptied, url=location.url, metadata=location.metadata, holder=None)
        work.locations.save(made, expect_status=LocationStatus.ACTIVE)
        good = note_good(work, made)
        work.images.save(image, expect_status={image.status})
        work.events.append(about_copy(image, "image.copy.repaired", good))
        work.commit()


def _let_go(world: World, store: Store, held: Location) -> None:
    """Give up a repair that failed, or whose image was deleted meanwhile.

    While this process has the copy nobody else sees to it, so this is done as soon as it can be.
    """
    try:
        _let_go_now(world, store, held)
    except MetadataError as error:
        log.warning("a failed repair of image %s stays for now: %s", held.image_id, error)
        world.lease.later(partial(_let_go, world, store, held))


def _let_go_now(world: World, store: Store, held: Location) -> None:
    with world.metadata.unit_of_work(read_only=True) as work:
        rows = [row for row in work.locations.of_image(held.image_id) if row.id == held.id]
    if not rows or rows[0].holder != held.holder:
        return
    row = rows[0]
    if not row.url:
        try:
            store.discard(held.image_id)
        except StoreError as error:
            log.warning("what a failed repair left is not removed yet: %s", error)
    with world.metadata.unit_of_work() as work:
        try:
            work.locations.save(replace(row, holder=None), expect_status=row.status)
            work.commit()
        except Conflict as error:
            log.debug("%s", error)
