# SPDX-License-Identifier: Apache-2.0
"""An import's pulse: says how far it is, and ends it when it is not this worker's any more.

What is done with bytes is its users' business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from glancekit.core.model.task import TaskState

EVERY = 1.0
"""Seconds between beats: a small transaction each."""

Beat = Callable[[TaskState], None]


class Pulse:
    """Counts one step's bytes; as observer of a transfer, or called as a step's ``Progress``.

    ``moved_at`` is when it heard of it last, on the monotonic clock.
    """

    def __init__(self, beat: Beat, step: str, total: int | None, *, done: int = 0) -> None:
        self._beat = beat
        self._state = TaskState(step=step, done=done, total=total)
        self._since, self._last, self._before = time.monotonic(), 0.0, done
        self.moved_at = self._since

    def __call__(self, done: int, total: int | None) -> None:
        """Know how far it is.

        :raises Conflict: when the import is not this process's any more.
        """
        self._state = replace(self._state, done=done, total=total)
        self.moved_at = now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        passed = now - self._since
        rate = int((done - self._before) / passed) if passed > 0 else 0
        self._beat(replace(self._state, rate=rate))

    def feed(self, chunk: bytes, /) -> None:
        """See the next bytes."""
        self(self._state.done + len(chunk), self._state.total)

    def finish(self) -> None:
        """Know that all bytes were seen."""
