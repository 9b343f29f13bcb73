# SPDX-License-Identifier: Apache-2.0
"""A breaker: remembers that something does not answer, so that nobody has to wait to find out.

It only counts and tells. What is behind it, what counts as a failure, and who tries again when it
is time, are its owner's business.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

FAILURES = 3
"""Failures in a row after which a breaker opens: one may be chance, three on a store are not."""

PAUSE = 5.0
"""Seconds until the first new try."""

LONGEST_PAUSE = 60.0
"""Seconds between tries at most, however long it has been so."""

GROWTH = 2.0
"""How much longer each pause is than the one before."""

JITTER = 0.2
"""Part of a pause by which it varies, so that not all processes try again at one moment."""


class BreakerState(StrEnum):
    """Whether there is a way through."""

    CLOSED = "closed"
    """All is well: calls go through."""

    OPEN = "open"
    """Calls are refused at once."""

    HALF_OPEN = "half-open"
    """Calls are refused at once, but for one that finds out whether it works again."""


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """How a breaker is; ``retry_after`` is in seconds, 0 when closed."""

    state: BreakerState
    reason: str = ""
    retry_after: float = 0.0

    @property
    def is_closed(self) -> bool:
        """Calls go through."""
        return self.state is BreakerState.CLOSED


class Breaker:
    """Opens after ``failures`` in a row (0: never); one probe at a time can close it again.

    Pauses between probes, in seconds, begin with ``pause`` and grow to ``longest_pause``. After a
    probe that went well a single failure opens it again, and the pauses go on growing: a probe
    may be kinder than the work. A success of the work itself makes all as it was.
    """

    def __init__(
        self,
        *,
        failures: int = FAILURES,
        pause: float = PAUSE,
        longest_pause: float = LONGEST_PAUSE,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Begin closed. ``chance`` gives numbers from 0 up to 1."""
        self._limit = failures
        self._pause = pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._tries = 0
        self._not_before = 0.0
        self._reason = ""

    def status(self) -> BreakerStatus:
        """Return how it is at this moment."""
        with self._lock:
            if self._state is BreakerState.CLOSED:
                return BreakerStatus(self._state)
            left = max(0.0, self._not_before - self._clock())
            return BreakerStatus(self._state, self._reason, left)

    @property
    def is_closed(self) -> bool:
        """Calls go through. Costs nothing: asked before every call."""
        return self._state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """Hear that a call went well. Of one that began before it opened, nothing follows."""
        if self._failures == 0 and self._tries == 0:
            return
        with self._lock:
            if self._state is BreakerState.CLOSED:
                self._failures = 0
                self._tries = 0

    def failed(self, reason: str) -> bool:
        """Hear that a call failed, and why; True when this was the one too many."""
        with self._lock:
            if self._state is not BreakerState.CLOSED or self._limit == 0:
                return False
            self._failures += 1
            if self._failures < self._limit:
                return False
            self._open(reason)
            return True

    def begin_probe(self) -> bool:
        """Say whether somebody should try now; whoever hears True does, and tells how it went."""
        with self._lock:
            if self._state is not BreakerState.OPEN or self._clock() < self._not_before:
                return False
            self._state = BreakerState.HALF_OPEN
            return True

    def end_probe(self, failure: str | None) -> None:
        """Hear how the probe went: None when well, else what was wrong."""
        with self._lock:
            if self._state is not BreakerState.HALF_OPEN:
                return
            if failure is not None:
                self._open(failure)
                return
            self._state = BreakerState.CLOSED
            self._failures = self._limit - 1

    def _open(self, reason: str) -> None:
        pause = self._longest_pause
        if self._tries < 64:  # beyond which the power would not fit into a float
            pause = min(self._pause * GROWTH**self._tries, self._longest_pause)
        self._state = BreakerState.OPEN
        self._reason = reason
        self._tries += 1
        self._not_before = self._clock() + pause * (1 + JITTER * (2 * self._chance() - 1))
