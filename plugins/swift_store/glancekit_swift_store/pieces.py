# SPDX-License-Identifier: Apache-2.0
"""Bytes between the thread that reads an image and those that send it, in bounded memory.

What they become at the other end is not its business.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterator

KEPT = 8 << 20
"""So many bytes of one request are kept until it is answered: what is refused at once, because the
token was taken back or the server is too busy, can be sent again."""


class Stopped(Exception):
    """There will be no more pieces: what is being sent is to be given up."""


class Window:
    """The room that all pieces of one upload share."""

    def __init__(self, room: int) -> None:
        self.changed = threading.Condition()
        self.room = room
        self.is_stopped = False
        self._error: BaseException | None = None

    def take(self, size: int) -> None:
        """Wait for room; raise what a sender has failed with. Call with ``changed`` held."""
        self.changed.wait_for(lambda: self._error is not None or self.room >= size)
        if self._error is not None:
            raise self._error
        self.room -= size

    def give(self, size: int) -> None:
        """Give room back. Call with ``changed`` held."""
        self.room += size
        self.changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Tell whoever reads the image that a sender has failed."""
        with self.changed:
            self._error = self._error or error
            self.changed.notify_all()

    def stop(self) -> None:
        """Tell all senders to give up."""
        with self.changed:
            self.is_stopped = True
            self.changed.notify_all()


class Pieces:
    """The body of one request, fed by one thread and sent by another."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._waiting: deque[bytes] = deque()
        self._kept: list[bytes] | None = []
        self._has_ended = False
        self._begin()

    def _begin(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    @property
    def etag(self) -> str:
        """What the server must call that which was sent."""
        return self._md5.hexdigest()

    @property
    def stays(self) -> bool:
        """No more of it can come than is kept."""
        return False  # how much will come is not known

    # -- the thread that reads

    def feed(self, piece: bytes) -> None:
        """Add a piece, as soon as there is room for it."""
        with self._window.changed:
            self._window.take(len(piece))
            self._waiting.append(piece)
            self._window.changed.notify_all()

    def end(self) -> None:
        """Say that these were all."""
        with self._window.changed:
            self._has_ended = True
            self._window.changed.notify_all()

    # -- the thread that sends

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._next()) is not None:
            self._md5.update(piece)
            self.size += len(piece)
            yield piece
            if self._kept is None:
                with self._window.changed:
                    self._window.give(len(piece))

    def rewind(self) -> bool:
        """Make ready to be sent once more; False when some of it is no longer there."""
        with self._window.changed:
            if self._kept is None or self._window.is_stopped:
                return False
            self._waiting.extendleft(reversed(self._kept))
            self._kept = []
            self._begin()
            return True

    def let_go(self) -> None:
        """Give back the room of all that is left."""
        with self._window.changed:
            left = [*self._waiting, *(self._kept or ())]
            self._waiting.clear()
            self._kept = None
            self._window.give(sum(map(len, left)))

    def _next(self) -> bytes | None:
        with self._window.changed:
            self._window.changed.wait_for(
                lambda: self._waiting or self._has_ended or self._window.is_stopped
            )
            if self._window.is_stopped:
                raise Stopped
            if not self._waiting:
                return None
            piece = self._waiting.popleft()
            self._keep(piece)
            return piece

    def _keep(self, piece: bytes) -> None:
        if self._kept is None:
            return
        if self.size + len(piece) <= KEPT:
            self._kept.append(piece)
        else:
            self._window.give(sum(map(len, self._kept)))
            self._kept = None


class SizedPieces(Pieces):
    """A body whose length is known before; the HTTP client announces what ``len`` says."""

    def __init__(self, window: Window, length: int) -> None:
        super().__init__(window)
        self._length = length

    @property
    def stays(self) -> bool:
        """No more of it can come than is kept."""
        return self._length <= KEPT

    def __len__(self) -> int:
        return self._length
