# SPDX-License-Identifier: Apache-2.0
"""Which copy of an image is read, and from where it goes on when that one fails.

Who may read, and which part, is the business of ``data``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

from glancekit.core.contracts.store import SupportsDirectUrl
from glancekit.core.errors import (
    BlobNotFound,
    GlancekitError,
    ImageDamaged,
    ImageNotFound,
    MetadataError,
    StoreError,
    StoreFailed,
    StoreNotFound,
    StoreUnavailable,
)
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.stores import DirectTransfer, Store, Stores
from glancekit.core.stream import ByteStream
from glancekit.services.world import World

log = logging.getLogger(__name__)

T = TypeVar("T")


class Redirect(Enum):
    """What a client says of being sent to the store itself."""

    NEVER = "never"
    ACCEPTED = "accepted"
    ASKED = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """Bytes on their way out: ``length`` of them, from ``offset`` in an image of ``total``.

    One of ``file`` (a local file, to be sent from ``offset`` on, by sendfile where the server
    can), ``stream`` (which begins at ``offset``), and ``elsewhere`` (a URL that gives the whole
    image to whoever has it), or none of them when the image has no data. ``length`` and ``total``
    are None when the size is unknown. Whoever gets it closes what is in it.
    """

    image: Image
    offset: int = 0
    length: int | None = None
    total: int | None = None
    file: BinaryIO | None = None
    stream: ByteStream | None = None
    elsewhere: str | None = None

    @property
    def has_data(self) -> bool:
        """There is something to send, be it nought bytes of it."""
        return any(way is not None for way in (self.file, self.stream, self.elsewhere))


def open_best(
    world: World, image: Image, offset: int, length: int | None, *, redirect: Redirect
) -> Download:
    """Open the first copy that can be read, in the order in which copies are worth reading.

    One that an audit found lost is passed over, unless there is no other and the operator would
    rather have wrong bytes sent than none.

    :raises ImageDamaged: when all copies are lost.
    :raises StoreError: when none can be: unavailability, if a copy may be read again soon.
    """
    return _first(
        world,
        image,
        lambda location: _open(world, image, location, offset, length, redirect=redirect),
    )


def open_stream(world: World, image: Image) -> ByteStream:
    """Open the whole image for who reads it here; see ``open_best`` for which copy, and errors."""

    def opened(location: Location) -> ByteStream:
        store = world.stores.get(location.store)
        return _open_stream(world, image, store, location, 0, image.size)

    return _first(world, image, opened)


def _first(world: World, image: Image, opened: Callable[[Location], T]) -> T:
    if image.is_damaged and not world.auditing.serve_damaged:
        raise ImageDamaged(image_id=image.id)
    failures: list[GlancekitError] = []
    tried: list[Location] = []
    while location := _next(world, image, tried):
        tried.append(location)
        try:
            return opened(location)
        except (StoreError, StoreNotFound) as error:
            log.warning("a copy of image %s cannot be read: %s", image.id, error)
            failures.append(error)
    raise _most_hopeful(failures) or BlobNotFound(store="-", image_id=image.id)


def worth_reading(image: Image) -> Sequence[Location]:
    """Return the copies that may be read: those that are not lost, all where there is no other."""
    return [copy for copy in image.locations if not copy.is_lost] or image.locations


def _next(world: World, image: Image, tried: Sequence[Location]) -> Location | None:
    """Return the copy to be read after those that were tried, None when there is none.

    When the known ones are used up, the record is looked at again: since it was read, the image
    may have been given a copy elsewhere, and the one that was known been removed.
    """
    known = [copy for copy in worth_reading(image) if copy not in tried]
    if not known and tried:
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                image = work.images.get(image.id)
        except (ImageNotFound, MetadataError) as error:
            log.info("there is no further copy of image %s: %s", image.id, error)
            return None
        known = [copy for copy in image.locations if not copy.is_lost and copy not in tried]
    return next(iter(in_order(world.stores, known)), None)


def may_be_elsewhere(world: World, image: Image, redirect: Redirect) -> bool:
    """Say whether the copy that is read first may be one that the client is sent to."""
    for location in in_order(world.stores, worth_reading(image))[:1]:
        store = world.stores.by_id.get(location.store)
        if store is not None and image.is_active and store.supports(SupportsDirectUrl):
            return _is_sent_there(store, redirect)
    return False


def in_order(stores: Stores, locations: Iterable[Location]) -> list[Location]:
    """Put first what answers now; among these, and among the others, what is preferred anyway."""

    def is_away(location: Location) -> bool:
        store = stores.by_id.get(location.store)
        return store is None or not store.is_available

    return sorted(stores.by_preference(locations), key=is_away)


def _most_hopeful(failures: Sequence[GlancekitError]) -> GlancekitError | None:
    """Return the failure that says most about what to do: ask again soon, if that may help."""
    away = [error for error in failures if isinstance(error, StoreUnavailable)]
    if away:
        return min(away, key=lambda error: error.facts.get("retry_after", 0))
    return failures[-1] if failures else None


def _open(
    world: World,
    image: Image,
    location: Location,
    offset: int,
    length: int | None,
    *,
    redirect: Redirect,
) -> Download:
    store = world.stores.get(location.store)
    located = replace(location, size=image.size)
    found = Download(image=image, offset=offset, length=length, total=image.size)
    if url := _elsewhere(store, located, image, redirect):
        return replace(found, elsewhere=url)
    if file := store.open_local(located):
        return replace(found, file=file)
    return replace(found, stream=_open_stream(world, image, store, location, offset, length))


def _open_stream(
    world: World,
    image: Image,
    store: Store,
    location: Location,
    offset: int,
    length: int | None,
) -> ByteStream:
    """Open a copy from an offset on, so that another is gone on from where it fails midway."""
    located = replace(location, size=image.size)
    if length is None:
        return store.open(located)
    if (offset, length) == (0, image.size):
        stream = store.open(located)
    else:
        stream = store.open_range(located, offset, length)
    return _Continued(world, image, location, stream, offset=offset, length=length)


# -- sent to the store itself


def _elsewhere(store: Store, location: Location, image: Image, redirect: Redirect) -> str | None:
    """Return where a client gets the bytes from the store, if it is to go there.

    Not for an image that is deactivated: a URL cannot be taken back.

    :raises StoreError: when the copy is not there, or not whole: another may be.
    """
    if image.status is not ImageStatus.ACTIVE or image.size is None:
        return None
    if not _is_sent_there(store, redirect) or not store.supports(SupportsDirectUrl):
        return None
    # The store is asked before a URL is signed: if it wants other credentials by now, it says so,
    # and the URL is signed with those.
    _require_whole(store, location, image)
    try:
        url = store.direct_url(location)
    except StoreError as error:
        log.warning("no client can be sent to store %s: %s", store.id, error)
        return None
    return url if urlsplit(url).scheme in ("http", "https") else None


def _is_sent_there(store: Store, redirect: Redirect) -> bool:
    if redirect is Redirect.ASKED:
        return store.direct_transfer is not DirectTransfer.NEVER
    return redirect is Redirect.ACCEPTED and store.direct_transfer is DirectTransfer.ALWAYS


def _require_whole(store: Store, location: Location, image: Image) -> None:
    """See that a copy has as many bytes as the image, before it is taken for one.

    :raises StoreFailed: when it has not, or its store cannot tell.
    """
    found = store.size(location)
    if found != image.size:
        raise StoreFailed(
            f"the copy has {'an unknown number of' if found is None else found} bytes, "
            f"the image {image.size}",
            store=store.id,
            operation="size",
        )


# -- going on from another copy


class _Continued(ByteStream):
    """An image's bytes from one copy, and from the next one where that fails midway."""

    def __init__(
        self,
        world: World,
        image: Image,
        location: Location,
        stream: ByteStream,
        *,
        offset: int,
        length: int,
    ) -> None:
        self._world = world
        self._image = image
        self._stream = stream
        self._offset = offset
        self._left = length
        self._tried = [location]

    def read(self, size: int = -1, /) -> bytes:
        while True:
            try:
                chunk = self._stream.read(size)
            except StoreError as error:
                self._go_on(error)
                continue
            self._offset += len(chunk)
            self._left -= len(chunk)
            return chunk

    def close(self) -> None:
        self._stream.close()

    def _go_on(self, failure: StoreError) -> None:
        """Have the rest come from another copy; each is tried once.

        :raises StoreError: the failure, when there is none.
        """
        self._let_go()
        while location := _next(self._world, self._image, self._tried):
            self._tried.append(location)
            try:
                self._stream = self._open_rest(location)
            except (StoreError, StoreNotFound) as error:
                log.warning("a copy of image %s cannot be read: %s", self._image.id, error)
                continue
            log.warning(
                "image %s is read on from byte %d in store %s: %s",
                *(self._image.id, self._offset, location.store, failure),
            )
            return
        raise failure

    def _open_rest(self, location: Location) -> ByteStream:
        store = self._world.stores.get(location.store)
        located = replace(location, size=self._image.size)
        _require_whole(store, located, self._image)
        return store.open_range(located, self._offset, self._left)

    def _let_go(self) -> None:
        try:
            self._stream.close()
        except StoreError as error:
            log.info("a stream that failed could not be closed: %s", error)
