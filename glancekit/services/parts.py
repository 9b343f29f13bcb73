# SPDX-License-Identifier: Apache-2.0
"""Staging an image's data in parts, each of which stays when a later one is cut off.

Between two parts nobody is at it. The row of the data's location tells what is to come and holds
its room; it is kept by a lease of its own, which each part renews and which runs out when none
comes any more: then the reaper undoes the upload as it undoes one whose process died. Who writes
just now is said by a lock on the image's folder, which a kill opens.
"""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    Conflict,
    LimitExceeded,
    NotFound,
    OffsetMismatch,
    StatusConflict,
)
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.options import STAGING_STORE
from glancekit.core.stream import ByteStream
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.services import quotas
from glancekit.services.images import find_permitted
from glancekit.services.importing import records
from glancekit.services.imports import find_staging, require_staging, require_still_staging
from glancekit.services.notices import about
from glancekit.services.quotas import Allowance
from glancekit.services.staging import Staging
from glancekit.services.world import World

log = logging.getLogger(__name__)

_TOTAL = "total"
_VERSION = "version"

RENEWAL = 60.0
"""Seconds between renewals while a part comes, be it as slowly as it may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes ``first`` to ``last`` of ``total``, counted from 0.

    ``version`` is what the client calls this content, so that nothing else is appended to it.
    """

    first: int
    last: int
    total: int
    version: str | None = None

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return self.last - self.first + 1

    @property
    def is_all(self) -> bool:
        """It is the only one."""
        return self.size == self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How much of an image's data is staged for good: ``offset`` bytes of ``size``."""

    offset: int
    size: int
    version: str | None = None


def is_offered(world: World) -> bool:
    """Say whether data can be staged in parts: wherever they can be staged."""
    return records.DIRECT in world.importing.methods


def stage_part(
    world: World, caller: Identity, image_id: str, source: ByteStream, part: Part
) -> int:
    """Take a part of an image's data into staging; return how many bytes are there then.

    The first one begins the upload and takes the room for all of it, the last one ends it: then
    the image is as if it had been staged at once. What has come stays when this raises.

    :raises NotFound: when staged data could not be imported here.
    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises StatusConflict: when the image neither waits for its data nor gets them in parts.
    :raises OffsetMismatch: when the part does not begin behind the bytes that are there.
    :raises InUse: when somebody else is sending a part of it.
    :raises Conflict: when the parts before are of another content, or on another host.
    :raises LimitExceeded: when all of it is too large, for itself or for its project.
    :raises Invalid: when the bytes are not as many as declared.
    """
    require_staging(world)
    cap = world.settings.image_size_cap
    if part.total > cap:
        raise LimitExceeded(what="bytes for one image", limit=cap, asked=part.total)
    staging = Staging(world.staging)
    allowed = quotas.allowance_for(world, image_id)
    with world.metadata.unit_of_work() as work:
        writing = _take(world, work, caller, image_id, staging, part, allowed)
        work.commit()
    holder = writing.holder or ""
    with staging.alone(image_id):
        require_still_staging(world, writing)  # whoever was alone before may have ended it
        offset = staging.durable(image_id, holder)
        if part.first != offset:
            raise OffsetMismatch(offset=offset, asked=part.first)
        plan = TransferPlan(
            declared_size=part.size,
            size_cap=None,
            hash_algo=world.settings.hashing_algorithm if part.is_all else None,
            before_end=partial(require_still_staging, world, writing),
            observers=(_Renewal(world, holder),),
        )
        append = partial(staging.append, image_id, version=holder, offset=offset)
        _, receipt = transfer(source, plan, append)
        if part.last + 1 == part.total:
            _finish(world, caller, staging, writing, part, receipt)
    return part.last + 1


def progress(world: World, caller: Identity, image_id: str) -> Progress:
    """Return how much of an image's data is staged for good.

    :raises NotFound: when nothing is staged, or it is all being staged at once.
    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Conflict: when it is on another host.
    """
    require_staging(world)
    staging = Staging(world.staging)
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_permitted(world, work, caller, image_id, "modify_image")
        writing = _row(work, image)
    if image.status is ImageStatus.UPLOADING and writing is None and image.size is not None:
        return Progress(offset=image.size, size=image.size)
    if (
        image.status is not ImageStatus.UPLOADING
        or writing is None
        or not records.is_in_parts(writing)
    ):
        raise NotFound(f"No data of image {image_id} are being staged in parts")
    _require_here(staging, image)
    return Progress(
        offset=staging.durable(image_id, writing.holder or ""),
        size=writing.metadata[_TOTAL],
        version=writing.metadata[_VERSION],
    )


def _take(
    world: World,
    work: UnitOfWork,
    caller: Identity,
    image_id: str,
    staging: Staging,
    part: Part,
    allowed: Allowance,
) -> Location:
    """Begin an upload, or go on with it; either way it lives for a while from now on."""
    image = find_permitted(world, work, caller, image_id, "modify_image")
    if image.status is ImageStatus.QUEUED:
        writing = _begin(work, caller, image, staging, part, allowed)
    else:
        writing = _going_on(work, image, staging, part)
    _renew(world, work, writing.holder or "")
    return writing


def _begin(
    work: UnitOfWork,
    caller: Identity,
    image: Image,
    staging: Staging,
    part: Part,
    allowed: Allowance,
) -> Location:
    if part.first:
        raise OffsetMismatch(offset=0, asked=part.first)
    placed = records.with_properties(image, {records.PLACE: staging.place})
    uploading = replace(placed, status=ImageStatus.UPLOADING)
    saved = work.images.save(uploading, expect_status={ImageStatus.QUEUED})
    intent = Location(
        url="",
        metadata={_TOTAL: part.total, _VERSION: part.version},
        store=STAGING_STORE,
        image_id=image.id,
        status=LocationStatus.WRITING,
        holder=records.PARTS + uuid.uuid4().hex,
    )
    writing = work.locations.add(intent)
    quotas.reserve(work, allowed, image.owner, writing, part.total)
    work.events.append(about(saved, "image.update", caller))
    return writing


def _going_on(work: UnitOfWork, image: Image, staging: Staging, part: Part) -> Location:
    writing = _row(work, image)
    if (
        image.status is not ImageStatus.UPLOADING
        or writing is None
        or not records.is_in_parts(writing)
    ):
        raise StatusConflict(image_id=image.id, status=image.status, wanted=ImageStatus.QUEUED)
    _require_here(staging, image)
    total, version = writing.metadata[_TOTAL], writing.metadata[_VERSION]
    if (part.total, part.version) != (total, version):
        raise Conflict(
            f"Other data of image {image.id} are being staged, {total} bytes; delete the image, "
            "or wait until they are given up"
        )
    return writing


def _row(work: UnitOfWork, image: Image) -> Location | None:
    rows = (row for row in work.locations.of_image(image.id) if row.store == STAGING_STORE)
    return next(rows, None)


def _require_here(staging: Staging, image: Image) -> None:
    place, _, host = image.properties.get(records.PLACE, "").partition("@")
    if place != staging.place_id:
        raise Conflict(
            f"What has come of image {image.id} is on host {host}; send the rest there, or let "
            "hosts share their folder of staged data"
        )


def _renew(world: World, work: UnitOfWork, holder: str) -> None:
    lifetime = timedelta(hours=world.settings.unfinished_upload_hours)
    work.leases.renew(holder, now() + lifetime)


def _finish(
    world: World,
    caller: Identity,
    staging: Staging,
    writing: Location,
    part: Part,
    receipt: Receipt,
) -> None:
    """Let the image wait for its import. Its bytes are durable; what a kill behind the commit
    leaves undone, the import does."""
    with world.metadata.unit_of_work() as work:
        image = find_staging(work, writing)
        work.locations.remove(writing.id or 0)  # from here on, it counts by status and size
        work.leases.release(writing.holder or "")
        saved = work.images.save(
            replace(image, size=part.total), expect_status={ImageStatus.UPLOADING}
        )
        work.events.append(about(saved, "image.update", caller))
        work.commit()
    staging.complete(image.id, part.total, receipt)
    log.info("staged %d bytes for image %s", part.total, image.id)


class _Renewal:
    """Keeps an upload's lease while a part comes."""

    def __init__(self, world: World, holder: str) -> None:
        self._world = world
        self._holder = holder
        self._due = time.monotonic() + RENEWAL

    def feed(self, chunk: bytes, /) -> None:
        """See the next bytes."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + RENEWAL
        with self._world.metadata.unit_of_work() as work:
            _renew(self._world, work, self._holder)
            work.commit()

    def finish(self) -> None:
        """Know that all bytes of the part were seen."""
