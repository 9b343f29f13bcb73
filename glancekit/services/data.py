# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image: upload and download, step by step. The byte loop itself is core/transfer.

An upload leaves nothing half done: intent is written down before the first byte goes to a store,
and whatever fails is undone here or, if this process dies, by the reaper.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType

from glancekit.core.errors import (
    Conflict,
    Forbidden,
    ImageGone,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataError,
    StatusConflict,
    StoreError,
    StoreNotFound,
)
from glancekit.core.formats import FormatInspection
from glancekit.core.model.changes import ByteRange
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.stores import Store
from glancekit.core.stream import ByteStream
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.services import acting, copies, quotas, readers, stores
from glancekit.services.attempts import Attempt
from glancekit.services.cache.serving import open_cached
from glancekit.services.copies import Download, Redirect
from glancekit.services.images import find_permitted, find_visible
from glancekit.services.notices import about, about_download, about_failure
from glancekit.services.quotas import Allowance
from glancekit.services.recovery import forget_writing
from glancekit.services.world import World

log = logging.getLogger(__name__)


def upload(
    world: World,
    caller: Identity,
    image_id: str,
    source: ByteStream,
    *,
    size: int | None,
    store: str | None,
) -> Image:
    """Give a queued image its bytes, and return it as it then is: ``active``.

    ``size`` is what the caller declared, in bytes; ``store`` the id of a store, None for that
    which plugins or the configuration choose. On any error the image is ``queued`` again and no
    byte is kept.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises ImageGone: when it was deleted meanwhile.
    :raises Forbidden: when the caller may not.
    :raises StatusConflict: when it is not queued.
    :raises Invalid: when formats are missing, or the bytes are not what was declared.
    :raises LimitExceeded: when it is too large, for itself or for its project.
    :raises StoreError: when the store cannot take it.
    """
    target = _target(world, caller, image_id, store, size)
    allowed = quotas.allowance_for(world, image_id)
    with ExitStack() as undo:
        image, writing = _begin(world, caller, image_id, target, size=size, allowed=allowed)
        undo.push(partial(_tell_failure, world, caller, image))  # after all else is undone
        target = acting.store_for(target, caller, image.owner)
        attempt = Attempt(target, image_id)
        undo.callback(_undo, world, attempt, writing)
        plan = TransferPlan(
            declared_size=size,
            size_cap=world.settings.image_size_cap,
            hash_algo=world.settings.hashing_algorithm,
            inspector=_inspector(world, image),
            before_end=lambda: _require_still_ours(world, writing),
            observers=quotas.observers(world, allowed, writing, size),
        )
        location, receipt = transfer(source, plan, lambda stream: attempt.write(stream, size))
        active = _finish(world, caller, writing, location, receipt)
        undo.pop_all()
    readers.follow(world, caller, active)
    return active


def _target(
    world: World, caller: Identity, image_id: str, store_id: str | None, size: int | None
) -> Store:
    if store_id is None:
        with world.metadata.unit_of_work(read_only=True) as work:
            image = find_permitted(world, work, caller, image_id, "upload_image")
        target = stores.choose(world, caller, image, size)
    else:
        try:
            target = world.stores.get(store_id)
        except StoreNotFound as error:
            raise Invalid(str(error)) from error
    target.require_writable()
    return target


def _begin(
    world: World,
    caller: Identity,
    image_id: str,
    target: Store,
    *,
    size: int | None,
    allowed: Allowance,
) -> tuple[Image, Location]:
    """Take the image for this upload and write down that bytes are about to be written."""
    with world.metadata.unit_of_work() as work:
        image = find_permitted(world, work, caller, image_id, "upload_image")
        _require_ready(image, world.settings.image_size_cap, size)
        saved = work.images.save(
            replace(image, status=ImageStatus.SAVING), expect_status={ImageStatus.QUEUED}
        )
        holder = world.lease.holder
        writing = work.locations.add(acting.intent(world.stores, target.id, image, holder))
        quotas.reserve(work, allowed, image.owner, writing, size)
        work.events.append(about(saved, "image.prepare", caller))
        work.commit()
    return saved, writing


def _require_ready(image: Image, cap: int, size: int | None) -> None:
    if image.status is not ImageStatus.QUEUED:
        raise StatusConflict(image_id=image.id, status=image.status, wanted=ImageStatus.QUEUED)
    if image.disk_format is None or image.container_format is None:
        raise Invalid(
            "Properties disk_format, container_format must be set before image data is sent"
        )
    if size is not None and 0 <= cap < size:
        raise LimitExceeded(what="bytes for one image", limit=cap, asked=size)


def _inspector(world: World, image: Image) -> FormatInspection:
    settings = world.settings
    return FormatInspection(
        disk_format=image.disk_format or "",
        container_format=image.container_format or "",
        require_match=settings.require_image_format_match,
        vmdk_allowed_types=settings.vmdk_allowed_types,
        gpt_safety_checks_nonfatal=settings.gpt_safety_checks_nonfatal,
    )


def _require_still_ours(world: World, writing: Location) -> None:
    """Look once more before the store is told that this was the last byte.

    The image may have been deleted, or this process held up for so long that it counts as dead.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        try:
            work.images.get(writing.image_id)
        except ImageNotFound as error:
            raise ImageGone(image_id=writing.image_id) from error
        rows = work.locations.of_image(writing.image_id)
    if not any(_is_same(row, writing) for row in rows):
        raise Conflict(f"The upload to image {writing.image_id} took too long and was given up")


def _is_same(row: Location, writing: Location) -> bool:
    return (row.id, row.status, row.holder) == (writing.id, writing.status, writing.holder)


def _finish(
    world: World, caller: Identity, writing: Location, location: Location, receipt: Receipt
) -> Image:
    """Make location and image active in one commit."""
    with world.metadata.unit_of_work() as work:
        try:
            image = work.images.get(writing.image_id)
        except ImageNotFound as error:
            raise ImageGone(image_id=writing.image_id) from error
        row = replace(
            location,
            id=writing.id,
            image_id=writing.image_id,
            store=writing.store,
            status=LocationStatus.ACTIVE,
            holder=None,
        )
        work.locations.save(row, expect_status=LocationStatus.WRITING)
        work.images.save(
            replace(
                image,
                status=ImageStatus.ACTIVE,
                size=receipt.size,
                virtual_size=receipt.virtual_size,
                checksum=receipt.checksum,
                os_hash_algo=receipt.hash_algo,
                os_hash_value=receipt.hash_value,
            ),
            expect_status={ImageStatus.SAVING},
        )
        active = work.images.get(writing.image_id)
        work.events.append(about(active, "image.upload", caller))
        work.events.append(about(active, "image.activate", caller))
        work.commit()
    return active


def _tell_failure(
    world: World,
    caller: Identity,
    image: Image,
    _kind: type[BaseException] | None,
    error: BaseException | None,
    _trace: TracebackType | None,
) -> None:
    """Write down that an upload failed, where that can be done; the client is told in any case."""
    try:
        with world.metadata.unit_of_work() as work:
            work.events.append(about_failure(image, caller, str(error)))
            work.commit()
    except MetadataError as failure:
        log.warning("nobody is told that image %s got no data: %s", image.id, failure)


def tell_sent(world: World, caller: Identity, image: Image, sent: int, *, is_whole: bool) -> None:
    """Write down that so many bytes of an image were sent, where the operator wants that."""
    try:
        with world.metadata.unit_of_work() as work:
            work.events.append(about_download(image, caller, sent, is_whole=is_whole))
            work.commit()
    except MetadataError as error:
        log.warning("nobody is told that image %s was downloaded: %s", image.id, error)


def _undo(world: World, attempt: Attempt, writing: Location) -> None:
    """Put everything back after a failed upload; what cannot be done now is left to the reaper."""
    try:
        with world.metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.of_image(writing.image_id)
        if not any(_is_same(row, writing) for row in rows):
            return  # the reaper was here first, and the name may be another upload's by now
        attempt.take_back()
        forget_writing(world, writing)
    except StoreError as error:
        log.warning("cannot remove what a failed upload left, will try again: %s", error)
        forget_writing(world, writing, keep_row=True)
    except MetadataError as error:
        log.warning(
            "could not put image %s back to queued, will try again: %s", writing.image_id, error
        )
        world.lease.later(partial(_undo, world, attempt, writing))


def download(
    world: World,
    caller: Identity,
    image_id: str,
    wanted: ByteRange | None,
    *,
    redirect: Redirect = Redirect.NEVER,
    prefer: Sequence[str] = (),
) -> Download:
    """Open an image's bytes, or the wanted range of them, or say where else they can be had.

    What is in the cache comes from there. A copy that cannot be read is passed over for the next,
    also when it fails midway. ``prefer`` are stores whose copies the caller would have first.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the image is deactivated.
    :raises Invalid: when a store that the caller would have is none.
    :raises RangeUnsatisfiable: when no byte of the range is there.
    :raises ImageDamaged: when audits found that no good copy is left.
    :raises StoreError: when no store can give it.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
    world.access.require(caller, "download_image", owner=image.owner, image=image)
    if prefer:
        world.access.require(caller, "download_from_store", owner=image.owner, image=image)
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise Forbidden(action="download a deactivated image")
    asking = _preferring(acting.with_caller(world, caller, image.owner), prefer)
    if not image.locations:
        return Download(image=image)
    offset, length = _resolve(image, wanted)
    cached = open_cached(asking, image, offset, length, redirect=redirect)
    return cached or copies.open_best(asking, image, offset, length, redirect=redirect)


def _preferring(world: World, stores: Sequence[str]) -> World:
    try:
        return replace(world, stores=world.stores.preferring(stores)) if stores else world
    except StoreNotFound as error:
        raise Invalid(str(error)) from error


def _resolve(image: Image, wanted: ByteRange | None) -> tuple[int, int | None]:
    if wanted is None:
        return 0, image.size
    if image.size is None:
        raise Invalid(f"Image {image.id} has no known size, so no range of it can be asked for")
    return wanted.within(image.size)
