# SPDX-License-Identifier: Apache-2.0
"""Reading one copy of an image and judging it. Which copy is due is the business of ``auditing``.

A copy is judged only if its store works and record and image are still those that were read; what
was found and the events that follow from it are one commit.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    BlobNotFound,
    Conflict,
    ImageNotFound,
    Invalid,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from glancekit.core.model.image import Finding, Image, Location, now
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.stores import Store
from glancekit.core.stream import ByteStream
from glancekit.core.transfer import TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.services import acting
from glancekit.services.notices import about, about_copy
from glancekit.services.world import World

log = logging.getLogger(__name__)

READABLE = (ImageStatus.ACTIVE, ImageStatus.DEACTIVATED)
"""States of an image whose copies have to be what its record says."""


RETRY = timedelta(hours=1)
"""How long a copy that could not be read is left alone before it is read again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was made of a copy; None when it could not be judged now, ``reason`` says why."""

    finding: Finding | None
    reason: str = ""


def examine(world: World, copy: Location) -> Verdict:
    """Read a copy, and write down what was found of it.

    :raises MetadataError: when that cannot be written down.
    :raises Unavailable: when the process is stopping.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = _image_of(work, copy)
        known = find_row(work, copy)
    if known is None:
        return Verdict(None, "it was changed or removed meanwhile")
    if image is None or known.holder is not None:
        _put_off(world, known)
        return Verdict(None, "it is being repaired" if image else "its image is not active")
    owners = acting.as_service(world, image.owner)
    verdict = _judge(owners, image, known)
    if verdict.finding is None:
        log.warning(
            "image %s, store %s: the copy could not be audited, will be tried again: %s",
            *(image.id, known.store, verdict.reason),
        )
        if _works(owners.stores.by_id.get(known.store)):
            # So that it is due again after a while, and the others of its store before it.
            at = now()
            _put_off(world, known, until=min(at, at - world.auditing.cycle + RETRY))
        return verdict
    return _write_down(world, image, known, verdict)


def find_row(work: UnitOfWork, copy: Location) -> Location | None:
    """Return a copy's record as it is now; None if it is another copy's by now, or not active."""
    for row in work.locations.of_image(copy.image_id):
        if (row.id, row.url, row.status) == (copy.id, copy.url, LocationStatus.ACTIVE):
            return row
    return None


def expectations(world: World, image: Image) -> TransferPlan:
    """Return what the bytes of an image have to be, held up by the bound on bytes per second."""
    return TransferPlan(
        declared_size=image.size,
        size_cap=None,
        hash_algo=image.os_hash_algo or world.settings.hashing_algorithm,
        expected_checksum=image.checksum,
        expected_hash=image.os_hash_value,
        observers=(world.auditing.throttle,),
    )


def _image_of(work: UnitOfWork, copy: Location) -> Image | None:
    try:
        image = work.images.get(copy.image_id)
    except ImageNotFound:
        return None
    return image if image.status in READABLE else None


# -- judging


def _judge(world: World, image: Image, copy: Location) -> Verdict:
    store = world.stores.by_id.get(copy.store)
    if store is None:
        return Verdict(None, f"there is no store '{copy.store}' here")
    if not copy.url:
        return Verdict(Finding.MISSING, "it was removed to be written anew")
    verdict = _look(world, store, image, copy)
    if verdict.finding is Finding.BAD:
        # Once more: what came wrong over a wire, or through bad memory, need not lie wrong.
        verdict = _look(world, store, image, copy)
    if verdict.finding is Finding.UNREADABLE is copy.finding:
        return Verdict(Finding.BAD, f"it could not be read in two audits: {verdict.reason}")
    return verdict


def _look(world: World, store: Store, image: Image, copy: Location) -> Verdict:
    try:
        _read(world, store, image, copy)
    except Invalid as error:
        return Verdict(Finding.BAD, str(error))
    except BlobNotFound as error:
        return _unless_away(store, Verdict(Finding.MISSING, str(error)))
    except (StoreUnavailable, StoreDenied) as error:
        return Verdict(None, str(error))
    except StoreError as error:
        return _unless_away(store, Verdict(Finding.UNREADABLE, str(error)))
    if image.os_hash_value or image.checksum:
        return Verdict(Finding.GOOD)
    return Verdict(Finding.GOOD, "only its size was compared: the image has no digest")


def _read(world: World, store: Store, image: Image, copy: Location) -> None:
    def pass_by(stream: ByteStream) -> Location:
        for _ in stream:
            pass
        return copy

    # Opened without its size, or what came to be longer would be cut instead of found out.
    with store.open(replace(copy, size=None)) as source:
        transfer(source, expectations(world, image), pass_by)


def _unless_away(store: Store, verdict: Verdict) -> Verdict:
    """Judge a copy only in a store that works: an unmounted one has nothing, and lost nothing."""
    try:
        store.check()
    except StoreError as error:
        return Verdict(None, str(error))
    return verdict


def _works(store: Store | None) -> bool:
    """Tell whether what could not be judged is a matter of the copy, not of its whole store."""
    if store is None or not store.is_available:
        return False
    try:
        store.check()
    except StoreError as error:
        log.debug("%s", error)
        return False
    return True


# -- writing down


def _write_down(world: World, image: Image, copy: Location, verdict: Verdict) -> Verdict:
    at = now()
    found = replace(
        copy,
        audited_at=at,
        verified_at=at if verdict.finding is Finding.GOOD else copy.verified_at,
        finding=verdict.finding,
        reason=verdict.reason,
    )
    try:
        with world.metadata.unit_of_work() as work:
            stored = work.images.get(image.id)
            if _content(stored) != _content(image):
                raise Conflict(f"Image {image.id} was changed while a copy of it was read")
            note(work, stored, found, copy)
            work.commit()
    except (Conflict, ImageNotFound) as error:
        return Verdict(None, str(error))
    _tell(copy, verdict)
    return verdict


def note(work: UnitOfWork, image: Image, found: Location, before: Location) -> None:
    """Write down what was found of a copy of an image, and append the events that it makes.

    :param image: as this unit of work has read it, before anything was changed in it.
    :raises Conflict: when the copy was changed or audited since ``before`` was read.
    """
    work.locations.note(found, since=before.audited_at)
    copies = [found if one.id == found.id else one for one in image.locations]
    after = replace(image, locations=tuple(copies))
    if found.is_lost and not before.is_lost:
        work.events.append(about_copy(image, "image.copy.lost", found))
    if after.is_damaged and not image.is_damaged:
        work.events.append(about(image, "image.damaged", None))
    if image.is_damaged and not after.is_damaged:
        work.events.append(about(image, "image.recovered", None))


def _content(image: Image) -> tuple[object, ...]:
    return (image.size, image.checksum, image.os_hash_algo, image.os_hash_value)


def _put_off(world: World, copy: Location, *, until: datetime | None = None) -> None:
    """Let others be audited first; nothing was found.

    :param until: the moment that counts as the one of its audit, by default the present one.
    """
    at = until or now()
    if copy.audited_at is not None and at <= copy.audited_at:
        return
    try:
        with world.metadata.unit_of_work() as work:
            work.locations.note(replace(copy, audited_at=at), since=copy.audited_at)
            work.commit()
    except Conflict as error:
        log.debug("%s", error)


def _tell(copy: Location, verdict: Verdict) -> None:
    if verdict.finding is not Finding.GOOD:
        log.error(
            "image %s, store %s: the copy is %s: %s",
            *(copy.image_id, copy.store, verdict.finding, verdict.reason),
        )
    elif copy.finding not in (None, Finding.GOOD):
        log.warning("image %s, store %s: the copy is good again", copy.image_id, copy.store)
    else:
        log.debug("image %s, store %s: the copy is good", copy.image_id, copy.store)
