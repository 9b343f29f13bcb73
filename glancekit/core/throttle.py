# SPDX-License-Identifier: Apache-2.0
"""A bound on bytes per second, shared by all who pass it. Whose bytes: not its business."""

from __future__ import annotations

import threading
import time

from glancekit.core.errors import Unavailable


class Throttle:
    """An observer of transfers (core/transfer) that holds them up, and ends them at a stop.

    All transfers that are given the same one have ``rate`` bytes per second between them, as a
    mean from the first byte of a busy spell on; 0 is as fast as it goes.
    """

    def __init__(self, rate: int, stopping: threading.Event) -> None:
        self._rate = rate
        self._stopping = stopping
        self._lock = threading.Lock()
        self._free_at = 0.0

    def feed(self, chunk: bytes, /) -> None:
        """Let bytes pass when it is their turn.

        :raises Unavailable: when the process is stopping.
        """
        if self._rate > 0:
            self._stopping.wait(self._take(len(chunk)))
        if self._stopping.is_set():
            raise Unavailable("the process is stopping")

    def finish(self) -> None:
        """Nothing is left to be held up."""

    def _take(self, size: int) -> float:
        """Reserve the time of so many bytes, and return the seconds until it has passed."""
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + size / self._rate
            return self._free_at - now
