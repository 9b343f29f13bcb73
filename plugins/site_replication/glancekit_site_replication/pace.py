# SPDX-License-Identifier: Apache-2.0
"""How fast bytes may move, over all transfers together, and who is told that they did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

CHUNK = 1 << 17
"""Bytes moved at once, at most."""

Told = Callable[[str, int], None]
"""Is told of bytes: "received" or "sent", and how many more."""


class Pace:
    """Bytes a second in one direction, None for as fast as it goes. For many threads."""

    def __init__(self, limit: float | None = None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, count: int) -> None:
        """Wait until so many bytes may have moved."""
        if not self._limit:
            return
        with self._lock:
            start = max(self._free_at, time.monotonic())
            self._free_at = start + count / self._limit
            pause = self._free_at - time.monotonic()
        time.sleep(max(0.0, pause))


class Outgoing:
    """The next bytes of a file on their way out, at a pace, as ``requests`` sends them: with their
    number."""

    def __init__(self, file: BinaryIO, size: int, pace: Pace, told: Told) -> None:
        self._file = file
        self._pace = pace
        self._told = told
        self._left = size
        self.len = size

    def __iter__(self) -> Iterator[bytes]:
        """Yield all of them; that there is this tells ``requests`` that it is no form."""
        while chunk := self.read():
            yield chunk

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(min(CHUNK if size < 0 else size, CHUNK, self._left))
        self._left -= len(chunk)
        self._pace.wait(len(chunk))
        self._told("sent", len(chunk))
        return chunk
