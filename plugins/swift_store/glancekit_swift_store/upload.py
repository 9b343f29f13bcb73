# SPDX-License-Identifier: Apache-2.0
"""An image on its way into a container: as one object, or in segments that are joined at the end.

Which requests these are is the business of ``objects``; how bytes wait for their connection, that
of ``pieces``.
"""

from __future__ import annotations

import logging
import uuid
from concurrent.futures import Future, ThreadPoolExecutor

from glancekit.plugin import (
    CHUNK_SIZE,
    BlobExists,
    ByteStream,
    GlancekitError,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit_swift_store.objects import Container, Found, Segment
from glancekit_swift_store.options import Settings
from glancekit_swift_store.pieces import Pieces, SizedPieces, Window

log = logging.getLogger(__name__)

MOST_SEGMENTS = 1000
"""What servers take in one manifest, unless they are told otherwise."""

GROWTH = 200
"""When the size is not known, segments become twice as large after as many as these: 1,000 of them
hold 1.2 TB when the first are of 200 MB."""

LARGEST = 5_000_000_000
"""The largest segment; servers take a bit more."""

WINDOW = 40 << 20
"""Bytes of one upload that are in memory: on their way, or kept for a second attempt."""


def segments_prefix(image_id: str) -> str:
    """Return what the names of an image's segments begin with.

    Not ``<id>-``, which is what the dynamic manifests of upstream stand for.
    """
    return f"{image_id}/"


class Upload:
    """One image's upload. Nothing has its name before ``run`` returns."""

    def __init__(
        self, container: Container, image_id: str, size: int | None, settings: Settings
    ) -> None:
        self._container = container
        self._image_id = image_id
        self._size = size
        self._settings = settings
        self._write = uuid.uuid4().hex
        self._window = Window(WINDOW)
        self._begun: list[str] = []

    def run(self, source: ByteStream) -> None:
        """Send all bytes of the source."""
        first = source.read(CHUNK_SIZE)
        if not first or (self._size is not None and self._size < self._settings.whole_below):
            self._run_whole(first, source)
        else:
            self._run_in_segments(first, source)

    # -- as one object

    def _run_whole(self, piece: bytes, source: ByteStream) -> None:
        """Send it in one request, which ends only when the source has said that it has ended."""
        pieces = SizedPieces(self._window, self._size or 0)
        with ThreadPoolExecutor(1, f"swift-{self._image_id}") as pool:
            future = pool.submit(self._send_whole, pieces)
            try:
                while following := piece and source.read(CHUNK_SIZE):
                    pieces.feed(piece)
                    piece = following
                pieces.feed(piece)
                pieces.end()
                future.result()
            except BaseException:
                self._window.stop()
                raise

    def _send_whole(self, pieces: SizedPieces) -> None:
        try:
            etag = self._put(pieces)
            if etag != pieces.etag:
                self._container.remove_one(self._image_id)
                raise StoreUnavailable("the data was damaged on its way to the server")
        except BaseException as error:
            self._window.fail(error)
            raise
        finally:
            pieces.let_go()

    def _put(self, pieces: SizedPieces) -> str:
        """Send it and return its ETag, also where the server's answer gets lost."""
        try:
            body = pieces if len(pieces) else b""
            return self._container.put(self._image_id, body, self._write)
        except (BlobExists, StoreUnavailable):
            found = self._mine()
            if found is None or pieces.size != len(pieces):
                raise
            return found.etag

    # -- in segments

    def _run_in_segments(self, first: bytes, source: ByteStream) -> None:
        try:
            segments = self._send_segments(first, source)
            self._join(segments)
        except BaseException:
            self._give_up()
            raise

    def _send_segments(self, piece: bytes, source: ByteStream) -> list[Segment]:
        """Send segments while the next one is being read."""
        sent: list[Future[Segment]] = []
        with ThreadPoolExecutor(self._settings.parallel, f"swift-{self._image_id}") as pool:
            try:
                while piece:
                    pieces, left = self._begin(pool, sent)
                    while piece and left:
                        pieces.feed(piece[:left])
                        left, piece = left - len(piece[:left]), piece[left:]
                        piece = piece or source.read(CHUNK_SIZE)
                    pieces.end()
                return [future.result() for future in sent]
            except BaseException:
                # Those that are being sent are waited for: they could appear after the clean-up.
                self._window.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _begin(self, pool: ThreadPoolExecutor, sent: list[Future[Segment]]) -> tuple[Pieces, int]:
        """Begin a segment; return where its bytes go and how many there are of them at most."""
        number = len(sent) + 1
        if number > MOST_SEGMENTS:
            raise StoreFull
        size = self._segment_size(number)
        pieces = Pieces(self._window)
        if self._size is not None:
            size = min(size, self._size - size * len(sent))
            pieces = SizedPieces(self._window, size)
        name = f"{segments_prefix(self._image_id)}{self._write}/{number:05d}"
        self._begun.append(name)
        sent.append(pool.submit(self._send_segment, name, pieces))
        return pieces, size

    def _segment_size(self, number: int) -> int:
        least = self._settings.segment_size
        if self._size is None:
            return min(least << (number - 1) // GROWTH, max(least, LARGEST))
        return max(least, -(-self._size // MOST_SEGMENTS))

    def _send_segment(self, name: str, pieces: Pieces) -> Segment:
        try:
            etag = self._container.put_segment(name, pieces)
            if etag != pieces.etag:
                raise StoreUnavailable("a segment was damaged on its way to the server")
            return Segment(name, etag, pieces.size)
        except BaseException as error:
            self._window.fail(error)
            raise
        finally:
            pieces.let_go()

    def _join(self, segments: list[Segment]) -> None:
        try:
            self._container.put_manifest(self._image_id, segments, self._write)
        except (BlobExists, StoreUnavailable):
            if self._mine() is None:
                raise
        found = self._container.find(self._image_id)
        if not found.is_static or found.size != sum(segment.size for segment in segments):
            # It has taken the list of segments for the image.
            self._container.remove_one(self._image_id)
            raise StoreFailed("the server does not know static large objects")

    # -- what went wrong

    def _mine(self) -> Found | None:
        """Return the object if it is there and of this very write."""
        found = self._container.find_or_none(self._image_id)
        return found if found is not None and found.write == self._write else None

    def _give_up(self) -> None:
        try:
            for name in self._begun:
                self._container.remove_one(name)
        except GlancekitError as error:
            # What went wrong before is on its way to the caller; discard will find the segments.
            log.warning(
                "segments of %s are left in the container %s: %s",
                self._image_id,
                self._container.name,
                error,
            )
