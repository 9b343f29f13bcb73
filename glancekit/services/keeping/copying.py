# SPDX-License-Identifier: Apache-2.0
"""Bytes of an image from a good copy of it into another store, digests checked on the way.

Whether a copy should be there is the business of ``healing`` and ``placing``. A new copy has a
record before its first byte is written, and is active and verified in one commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    Conflict,
    ImageGone,
    ImageNotFound,
    Invalid,
    MetadataError,
    StatusConflict,
    StoreError,
    StoreNotFound,
)
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store
from glancekit.core.transfer import run as transfer
from glancekit.services import acting, quotas
from glancekit.services.attempts import Attempt
from glancekit.services.importing.records import LOCK
from glancekit.services.keeping.examining import READABLE, examine, expectations
from glancekit.services.notices import about_copy
from glancekit.services.recovery import forget_writing
from glancekit.services.world import World

log = logging.getLogger(__name__)

FRESH = timedelta(hours=1)
"""How long a copy counts as good without being read again, where another depends on that."""


def copy_to(world: World, image_id: str, store_id: str) -> Location:
    """Give an image a copy in a store that has none of it, and return that copy.

    On any error nothing is kept; if this process dies, the reaper undoes it.

    :raises ImageNotFound: when there is no such image.
    :raises StatusConflict: when its data cannot be copied now.
    :raises Duplicate: when it has a record, in whatever state, in that store.
    :raises LimitExceeded: when its project may not have so much.
    :raises Conflict: when no good copy can be read now.
    :raises StoreError: when the store cannot take it.
    :raises Unavailable: when the process is stopping.
    """
    target = world.stores.get(store_id)
    target.require_writable()
    allowed = quotas.allowance_for(world, image_id)
    image, writing = _begin(world, image_id, target, allowed)
    asking = acting.as_service(world, image.owner)
    attempt = Attempt(asking.stores.get(store_id), image_id)
    try:
        location = write_from_good(asking, image, attempt, lambda: _require_ours(world, writing))
        made = _finish(world, writing, location)
    except BaseException:
        _undo(world, attempt, writing)
        raise
    log.info("image %s: copied to store %s", image_id, store_id)
    return made


def write_from_good(
    world: World,
    image: Image,
    attempt: Attempt,
    before_end: Callable[[], None],
) -> Location:
    """Write an image's bytes to a store from the first good copy that can be read.

    What was written from one that turned out bad is removed.

    :raises Conflict: when there is none.
    :raises StoreError: when the store cannot take it.
    """
    failure: Exception | None = None
    for source in good_copies(world, image):
        if source.store == attempt.store_id:
            continue
        try:
            return _pour(world, image, source, attempt, before_end)
        except (_SourceFailed, Invalid) as error:
            log.warning(
                "image %s cannot be copied from store %s: %s", image.id, source.store, error
            )
            failure = error
            attempt.take_back()
            examine(world, source)
    said = f": {failure}" if failure else ""
    raise Conflict(f"no good copy of image {image.id} can be read now{said}")


def good_copies(world: World, image: Image) -> Iterator[Location]:
    """Yield copies that were verified a moment ago, read now where that was longer ago.

    Those in stores that are being drained, or are light, come last.
    """

    def rank(copy: Location) -> tuple[bool, int]:
        store = world.stores.by_id.get(copy.store)
        return (True, 0) if store is None else (store.draining, -store.weight)

    for copy in sorted(image.locations, key=rank):
        store = world.stores.by_id.get(copy.store)
        if copy.is_lost or store is None or not store.is_available:
            continue
        if is_fresh(copy) or examine(world, copy).finding is Finding.GOOD:
            yield copy


def is_fresh(copy: Location) -> bool:
    """Say whether a copy was found good a moment ago."""
    if copy.finding is not Finding.GOOD or copy.verified_at is None:
        return False
    return copy.verified_at > now() - FRESH


class _SourceFailed(Exception):
    """The copy that was read failed, not the store that was written to."""


def _pour(
    world: World,
    image: Image,
    source: Location,
    attempt: Attempt,
    before_end: Callable[[], None],
) -> Location:
    plan = replace(expectations(world, image), before_end=before_end)
    from_store = world.stores.get(source.store)
    try:
        stream = from_store.open(replace(source, size=image.size))
    except StoreError as error:
        raise _SourceFailed(str(error)) from error
    with stream:
        try:
            return transfer(stream, plan, lambda measured: attempt.write(measured, image.size))[0]
        except StoreError as error:
            if error.facts.get("store") == from_store.id:
                raise _SourceFailed(str(error)) from error
            raise


# -- the record of a new copy


def _begin(
    world: World, image_id: str, target: Store, allowed: quotas.Allowance
) -> tuple[Image, Location]:
    """Write down that bytes are about to be written."""
    with world.metadata.unit_of_work() as work:
        image = work.images.get(image_id)
        if image.status not in READABLE or LOCK in image.properties:
            status = (
                f"{image.status}, being imported" if LOCK in image.properties else image.status
            )
            raise StatusConflict(image_id=image_id, status=status, wanted=" or ".join(READABLE))
        intent = acting.intent(world.stores, target.id, image, world.lease.holder)
        writing = work.locations.add(intent)
        quotas.reserve(work, allowed, image.owner, writing, image.size)
        work.commit()
    return image, writing


def _require_ours(world: World, writing: Location) -> None:
    with world.metadata.unit_of_work(read_only=True) as work:
        rows = work.locations.of_image(writing.image_id)
        try:
            work.images.get(writing.image_id)
        except ImageNotFound as error:
            raise ImageGone(image_id=writing.image_id) from error
    if not any(_is_same(row, writing) for row in rows):
        raise Conflict(f"The copy of image {writing.image_id} took too long and was given up")


def _is_same(row: Location, writing: Location) -> bool:
    return (row.id, row.status, row.holder) == (writing.id, writing.status, writing.holder)


def _finish(world: World, writing: Location, location: Location) -> Location:
    with world.metadata.unit_of_work() as work:
        image = work.images.get(writing.image_id)
        if image.status not in READABLE:
            raise StatusConflict(
                image_id=image.id, status=image.status, wanted=" or ".join(READABLE)
            )
        made = replace(
            location,
            id=writing.id,
            image_id=writing.image_id,
            store=writing.store,
            status=LocationStatus.ACTIVE,
            holder=None,
        )
        work.locations.save(made, expect_status=LocationStatus.WRITING)
        made = note_good(work, made)
        work.images.save(image, expect_status={image.status})
        work.events.append(about_copy(image, "image.copy.added", made))
        work.commit()
    return made


def note_good(work: UnitOfWork, made: Location) -> Location:
    """Write down of a copy that was made in this unit of work that it is verified."""
    (row,) = (row for row in work.locations.of_image(made.image_id) if row.id == made.id)
    at = now()
    good = replace(row, audited_at=at, verified_at=at, finding=Finding.GOOD, reason="")
    work.locations.note(good, since=row.audited_at)
    return good


def _undo(world: World, attempt: Attempt, writing: Location) -> None:
    """Remove what was written; what cannot be removed now is left to the reaper."""
    try:
        with world.metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.of_image(writing.image_id)
        if not any(_is_same(row, writing) for row in rows):
            return
        keep_row = True
        with suppress(StoreError, StoreNotFound):
            attempt.take_back()
            keep_row = False
        forget_writing(world, writing, keep_row=keep_row)
    except MetadataError as error:
        log.warning("a failed copy of image %s stays for now: %s", writing.image_id, error)
        world.lease.later(partial(_undo, world, attempt, writing))
