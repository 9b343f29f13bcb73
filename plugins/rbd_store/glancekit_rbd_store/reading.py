# SPDX-License-Identifier: Apache-2.0
"""An image's bytes as a stream, the next pieces already on their way. Where it is, is told it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from glancekit.plugin import CHUNK_SIZE, ByteStream, GlancekitError, StoreUnavailable
from glancekit_rbd_store.cluster import Cluster
from glancekit_rbd_store.flights import Flight
from glancekit_rbd_store.options import Settings

PIECE = 2 * CHUNK_SIZE
"""The most bytes that are read at a time. Some readers ask for less: to cut a piece costs less
than it costs the cluster to answer twice."""


class ImageStream(ByteStream):
    """Bytes ``start`` to ``end`` of an open image; ``stack`` is what to let go of at the end.

    To Ceph an object that is not there is zeros, so an image that is deleted under a reader turns
    into zeros. ``look`` raises when that has happened: it is asked at the end, and for each piece
    that has nothing but zeros, which a piece of a removed object is.
    """

    def __init__(
        self,
        cluster: Cluster,
        stack: ExitStack,
        image: Any,
        span: tuple[int, int],
        *,
        settings: Settings,
        look: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._stack = stack
        self._image = image
        self._next, self._end = span
        self._piece = min(PIECE, image.stat()["obj_size"])
        self._zeros = bytes(self._piece)
        self._settings = settings
        self._ahead = 1  # short ranges do not pay for long ones: it grows as the reader goes on
        self._look = look
        self._pending: deque[Flight] = deque()
        self._rest = memoryview(b"")
        self._closed = False
        self._failure: GlancekitError | None = None
        stack.callback(self._settle)

    def read(self, size: int = -1, /) -> bytes:
        """Return what is left of the piece at hand, or of the next one."""
        if self._closed:
            raise ValueError("the stream is closed")
        if size < 0:
            return b"".join(self)
        if not self._rest:
            piece = self._next_piece()
            if len(piece) <= size:
                return piece  # as it came; slices are copies
            self._rest = memoryview(piece)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def close(self) -> None:
        """Let go of the image."""
        self._closed = True
        self._stack.close()

    def _next_piece(self) -> bytes:
        """Return what comes next; what this raised once it raises again: nothing is skipped."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._arriving()
        except StoreUnavailable as error:
            self._failure = error
            self._cluster.let_go(self._stack.pop_all(), error)
            raise
        except GlancekitError as error:
            self._failure = error
            raise

    def _arriving(self) -> bytes:
        self._ask_ahead()
        if not self._pending:
            return b""
        data = self._pending[0].wait(self._settings.operation_timeout)
        self._pending.popleft()
        self._ahead = min(self._settings.in_flight, self._ahead * 2)
        self._ask_ahead()
        if not self._pending or data == self._zeros[: len(data)]:
            self._look()
        return data

    def _ask_ahead(self) -> None:
        while self._next < self._end and len(self._pending) < self._ahead:
            until = min(self._end, (self._next // self._piece + 1) * self._piece)
            submit = partial(self._image.aio_read, self._next, until - self._next)
            self._pending.append(Flight("reading", submit))
            self._next = until

    def _settle(self) -> None:
        while self._pending:
            self._pending.popleft().settle()
