# SPDX-License-Identifier: Apache-2.0
"""A new image under a name of its own, and how it gets its real one. Why it is made, and what
happens when the cluster is gone, is not its business."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from glancekit.plugin import CHUNK_SIZE, BlobExists, BlobNotFound, ByteStream, GlancekitError
from glancekit_rbd_store.bindings import bindings, require_odd, translated
from glancekit_rbd_store.flights import Flight
from glancekit_rbd_store.options import Settings
from glancekit_rbd_store.places import SNAPSHOT
from glancekit_rbd_store.removing import exists, make_removable, remove

LOG = logging.getLogger(__name__)

_WRITING = ".writing."
_HOLE = 64 << 10
"""The smallest hole that is left out; smaller ones cost more requests than they save."""

_ZEROS = bytes(_HOLE)
_CHUNK_OF_ZEROS = bytes(CHUNK_SIZE)
_MOST_GROWTH = 8 << 30
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


def written_names(image_id: str) -> str:
    """Return how the names of an image's unfinished copies begin."""
    return image_id + _WRITING


def unfinished(pool: Any, age: float) -> Iterator[tuple[str, str] | None]:
    """Yield the names of unfinished images made so many seconds ago, and what they were to be;
    None for each that is younger."""
    until = datetime.now(UTC) - timedelta(seconds=age)
    rbd = bindings().rbd
    with translated("looking for unfinished images"):
        for name in rbd.RBD().list(pool):
            image_id, word, _ = name.partition(_WRITING)
            if word:
                is_old = age <= 0 or _made_at(pool, name) <= until
                yield (name, image_id) if is_old else None


def _made_at(pool: Any, name: str) -> datetime:
    """Return when it was made; of one that cannot be opened, that it never was.

    One that has no more than a name, as who made or removed it died over it, does not say; nor
    does one that was finished meanwhile, which is safe: a name like this is used once.
    """
    rbd = bindings().rbd
    try:
        with rbd.Image(pool, name, read_only=True) as image:
            made: datetime = image.create_timestamp()
    except rbd.ImageNotFound:
        return _LONG_AGO
    except rbd.Error as error:
        require_odd(error)
        LOG.info("rbd: the unfinished image %s is left alone: %s", name, error)
        return _NEVER
    return made.replace(tzinfo=UTC)


def clear_name(pool: Any, image_id: str) -> None:
    """Remove what a writer leaves that dies while it gives an image its name.

    That is its claim and, once the unfinished image is gone, a name of nothing: librbd finds no
    image under it, and lets none have it. There must be no image of this name.
    """
    with translated("clearing a name"):
        for key in (_claim_of(image_id), f"rbd_id.{image_id}"):
            with suppress(bindings().rados.ObjectNotFound):
                pool.remove_object(key)


def _claim_of(image_id: str) -> str:
    """Return the name of the object that is there while a writer gives an image its name."""
    return f"glancekit_claim.{image_id}"


class NewImage:
    """An image that nobody finds under its final name before ``publish``.

    Leaving the block without that removes it.
    """

    def __init__(self, pool: Any, image_id: str, settings: Settings) -> None:
        self._pool = pool
        self._final = image_id
        self._name = written_names(image_id) + uuid.uuid4().hex[:12]
        self._settings = settings
        self._leftover = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._leftover:
            return
        try:
            remove(self._pool, self._name)
        except BlobNotFound:
            return
        except GlancekitError as failure:
            # What went wrong before is what the caller must know; discard() finds it by its name.
            LOG.warning("rbd: %s is not removed yet: %s", self._name, failure)

    def create(self, size: int) -> None:
        """Make it, empty.

        Layering is all it needs. An exclusive lock and what builds on it (object map, journal)
        cost requests, and with them librbd never answers a write that the cluster once missed.
        """
        self._leftover = True
        with translated("creating an image"):
            make_removable(self._pool)
            rbd = bindings().rbd
            rbd.RBD().create(
                self._pool,
                self._name,
                size,
                self._settings.order,
                old_format=False,
                features=rbd.RBD_FEATURE_LAYERING,
                data_pool=self._settings.data_pool,
            )

    def clone(self, parents: Any, parent: str, snapshot: str) -> None:
        """Make it out of another image's snapshot."""
        self._leftover = True
        rbd = bindings().rbd
        with translated("cloning an image"):
            rbd.RBD().clone(
                parents,
                parent,
                snapshot,
                self._pool,
                self._name,
                features=rbd.RBD_FEATURE_LAYERING,
                data_pool=self._settings.data_pool,
            )

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open it for writing."""
        with translated("opening an image"):
            image = bindings().rbd.Image(self._pool, self._name)
        try:
            yield image
        finally:
            with translated("closing an image"):
                image.close()

    def publish(self) -> None:
        """Give it its name: the last step, so that whoever finds the name finds all of it.

        :raises BlobExists: when the name is taken; what has it is left alone.
        """
        with translated("publishing an image"), self._claimed_name():
            if exists(self._pool, self._final):
                raise BlobExists
            bindings().rbd.RBD().rename(self._pool, self._name, self._final)
        self._leftover = False

    @contextmanager
    def _claimed_name(self) -> Iterator[None]:
        """Keep other writers of the same image out: of renames at one time several succeed."""
        rados, claim = bindings().rados, _claim_of(self._final)
        with rados.WriteOpCtx() as operation:
            operation.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
            self._pool.operate_write_op(operation, claim)
        try:
            yield
        finally:
            self._pool.remove_object(claim)


class Filler:
    """Writes into an open image from its beginning on, several chunks at once."""

    def __init__(self, image: Any, size: int, settings: Settings) -> None:
        self._image = image
        self._size = size
        self._settings = settings
        self._growth = settings.chunk_size
        self._offset = 0
        self._pending: deque[Flight] = deque()

    def fill(self, source: ByteStream) -> None:
        """Write all of a source and cut the image to its length."""
        for pieces in _chunks_of(source, self._settings.chunk_size):
            length = sum(map(len, pieces))
            self._make_room(self._offset + length)
            if not self._settings.thin:
                self._write(b"".join(pieces), self._offset)
            elif not all(map(_is_zero, pieces)):
                self._write_thinly(b"".join(pieces))
            self._offset += length
        while self._pending:
            self._take_result()
        with translated("finishing an image"):
            self._image.flush()
            if self._size != self._offset:
                self._image.resize(self._offset)

    def settle(self) -> None:
        """Wait until librbd is done with all that is under way, whatever came of it."""
        while self._pending:
            self._pending.popleft().settle()

    def _make_room(self, needed: int) -> None:
        """Let an image of unknown size grow, each time by twice as much."""
        if needed <= self._size:
            return
        while self._size < needed:
            self._size += self._growth
            self._growth = min(2 * self._growth, _MOST_GROWTH)
        with translated("making room in an image"):
            self._image.resize(self._size)

    def _write_thinly(self, chunk: bytes) -> None:
        """Write the runs that are not zero."""
        begin: int | None = None
        for at in range(0, len(chunk), _HOLE):
            if not _has_hole(chunk, at):
                begin = at if begin is None else begin
            elif begin is not None:
                self._write(chunk[begin:at], self._offset + begin)
                begin = None
        if begin is not None:
            self._write(chunk[begin:], self._offset + begin)

    def _write(self, data: bytes, offset: int) -> None:
        while len(self._pending) >= self._settings.in_flight:
            self._take_result()
        self._pending.append(Flight("writing", partial(self._image.aio_write, data, offset)))

    def _take_result(self) -> None:
        self._pending[0].wait(self._settings.operation_timeout)
        self._pending.popleft()


def _is_zero(piece: bytes) -> bool:
    zeros = _CHUNK_OF_ZEROS
    return piece == (zeros if len(piece) == len(zeros) else bytes(len(piece)))


def _has_hole(chunk: bytes, at: int) -> bool:
    """Say whether a block is all zeros. Data seldom begins and ends so: only then it is copied."""
    until = min(at + _HOLE, len(chunk))
    if chunk[at] or chunk[until - 1]:
        return False
    return chunk[at:until] == _ZEROS[: until - at]


def freeze(image: Any) -> None:
    """Make the protected snapshot of an open image that readers and clones use."""
    with translated("making the snapshot"):
        image.create_snap(SNAPSHOT)
        image.protect_snap(SNAPSHOT)


def _chunks_of(source: ByteStream, length: int) -> Iterator[list[bytes]]:
    """Yield the pieces of whole chunks of a source that gives them as it likes; the last chunk is
    shorter. They are put together by whoever has a use for them: most of a sparse image has none.
    """
    ended = False
    while not ended:
        pieces: list[bytes] = []
        left = length
        while left and not ended:
            piece = source.read(min(left, CHUNK_SIZE))
            ended = not piece
            pieces.append(piece)
            left -= len(piece)
        if left < length:
            yield pieces
