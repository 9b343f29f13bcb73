# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image: upload and download, step by step. The byte loop itself is core/transfer.

An upload leaves nothing half done: intent is written down before the first byte goes to a store,
and whatever fails is undone here or, if this process dies, by the reaper.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from glancekit.core.contracts.store import SupportsLocalFile, SupportsWrite
from glancekit.core.errors import (
    BlobNotFound,
    Conflict,
    Forbidden,
    GlancekitError,
    ImageGone,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataError,
    StatusConflict,
    StoreError,
    StoreFailed,
    StoreNotFound,
    StoreReadOnly,
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
from glancekit.services import quotas
from glancekit.services.images import find_visible
from glancekit.services.notices import about
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

    ``size`` is what the caller declared, in bytes; ``store`` the id of a store, None for the
    default one. On any error the image is ``queued`` again and no byte is kept.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises ImageGone: when it was deleted meanwhile.
    :raises Forbidden: when the caller may not.
    :raises StatusConflict: when it is not queued.
    :raises Invalid: when formats are missing, or the bytes are not what was declared.
    :raises LimitExceeded: when it is too large, for itself or for its project.
    :raises StoreError: when the store cannot take it.
    """
    target = _target(world, store)
    allowed = quotas.allowance_for(world, image_id)
    with ExitStack() as undo:
        image, writing = _begin(world, caller, image_id, target, size=size, allowed=allowed)
        undo.callback(_undo, world, writing)
        plan = TransferPlan(
            declared_size=size,
            size_cap=world.settings.image_size_cap,
            hash_algo=world.settings.hashing_algorithm,
            inspector=_inspector(world, image),
            before_end=lambda: _require_still_ours(world, writing),
            observers=quotas.observers(world, allowed, writing, size),
        )
        location, receipt = transfer(
            source, plan, lambda stream: target.write(image_id, stream, size)
        )
        active = _finish(world, caller, writing, location, receipt)
        undo.pop_all()
    return active


def _target(world: World, store_id: str | None) -> Store:
    if store_id is None:
        target = world.stores.default
    else:
        try:
            target = world.stores.get(store_id)
        except StoreNotFound as error:
            raise Invalid(str(error)) from error
    if target.read_only or not target.supports(SupportsWrite):
        raise StoreReadOnly(store=target.id)
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
        image = find_visible(world, work, caller, image_id)
        world.access.require(caller, "upload_image", owner=image.owner, image=image)
        _require_ready(image, world.settings.image_size_cap, size)
        saved = work.images.save(
            replace(image, status=ImageStatus.SAVING), expect_status={ImageStatus.QUEUED}
        )
        intent = Location(
            url="",
            store=target.id,
            image_id=image_id,
            status=LocationStatus.WRITING,
            holder=world.lease.holder,
        )
        writing = work.locations.add(intent)
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


def _undo(world: World, writing: Location) -> None:
    """Put everything back after a failed upload; what cannot be done now is left to the reaper."""
    try:
        with world.metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.of_image(writing.image_id)
        if not any(_is_same(row, writing) for row in rows):
            return  # the reaper was here first, and the name may be another upload's by now
        world.stores.get(writing.store).discard(writing.image_id)
        forget_writing(world, writing)
    except StoreError as error:
        log.warning("cannot remove what a failed upload left, will try again: %s", error)
        forget_writing(world, writing, keep_row=True)
    except MetadataError as error:
        log.warning(
            "could not put image %s back to queued, will try again: %s", writing.image_id, error
        )
        world.lease.later(partial(_undo, world, writing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Bytes on their way out: ``length`` of them, from ``offset`` in an image of ``total``.

    Either ``file`` (a local file, to be sent from ``offset`` on, by sendfile where the server can)
    or ``stream`` (which begins at ``offset``), or neither when the image has no data. ``length``
    and ``total`` are None when the size is unknown. Whoever gets it closes what is in it.
    """

    image: Image
    offset: int = 0
    length: int | None = None
    total: int | None = None
    file: BinaryIO | None = None
    stream: ByteStream | None = None

    @property
    def has_data(self) -> bool:
        """There is something to send, be it nought bytes of it."""
        return self.file is not None or self.stream is not None


def download(world: World, caller: Identity, image_id: str, wanted: ByteRange | None) -> Download:
    """Open an image's bytes, or the wanted range of them.

    Copies are tried in the order of their stores' weight; one that fails before its first byte is
    passed over for the next.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the image is deactivated.
    :raises RangeUnsatisfiable: when no byte of the range is there.
    :raises StoreError: when no store can give it.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
    world.access.require(caller, "download_image", owner=image.owner, image=image)
    if image.status is ImageStatus.DEACTIVATED and not caller.is_admin:
        raise Forbidden(action="download a deactivated image")
    if not image.locations:
        return Download(image=image)
    offset, length = _resolve(image, wanted)
    return _open_best(world, image, offset, length)


def _resolve(image: Image, wanted: ByteRange | None) -> tuple[int, int | None]:
    if wanted is None:
        return 0, image.size
    if image.size is None:
        raise Invalid(f"Image {image.id} has no known size, so no range of it can be asked for")
    return wanted.within(image.size)


def _open_best(world: World, image: Image, offset: int, length: int | None) -> Download:
    failure: GlancekitError = BlobNotFound(store="-", image_id=image.id)
    for location in _by_weight(world, image.locations):
        try:
            return _open(world, image, location, offset, length)
        except (StoreError, StoreNotFound) as error:
            log.warning("a copy of image %s cannot be read: %s", image.id, error)
            failure = error
    raise failure


def _by_weight(world: World, locations: Sequence[Location]) -> list[Location]:
    weights = {store.id: store.weight for store in world.stores.all}
    return sorted(locations, key=lambda location: -weights.get(location.store, 0))


def _open(
    world: World, image: Image, location: Location, offset: int, length: int | None
) -> Download:
    store = world.stores.get(location.store)
    located = replace(location, size=image.size)
    file = _open_file(store, located, image) if store.supports(SupportsLocalFile) else None
    stream = None if file else _open_stream(store, located, offset, length)
    return Download(
        image=image, offset=offset, length=length, total=image.size, file=file, stream=stream
    )


def _open_stream(store: Store, location: Location, offset: int, length: int | None) -> ByteStream:
    if length is None or (offset, length) == (0, location.size):
        return store.open(location)
    return store.open_range(location, offset, length)


def _open_file(store: Store, location: Location, image: Image) -> BinaryIO | None:
    """Open a copy that is a plain file here, if it is whole."""
    path = store.local_path(location)
    if path is None:
        return None
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise StoreFailed(str(error), store=store.id, operation="open") from error
    found = os.fstat(file.fileno()).st_size
    if image.size is not None and found != image.size:
        file.close()
        raise StoreFailed(
            f"the file has {found} bytes, the image {image.size}", store=store.id, operation="open"
        )
    return file
