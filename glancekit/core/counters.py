# SPDX-License-Identifier: Apache-2.0
"""What each plugin is asked, counted: calls, errors, time. Showing that is others' business.

A call is counted once it is over, never a chunk of bytes. What counts as an error is said by the
one who counts: a store that has no such image is well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

LONGEST_MESSAGE = 300
"""Characters of the last error that are kept."""


class Counted(NamedTuple):
    """One thing that a plugin does: its group, its name, what for ("store fast"), the call."""

    group: str
    name: str
    use: str
    operation: str


@dataclass(slots=True)
class Tally:
    """How often, how often in vain, and for how many seconds in all."""

    calls: int = 0
    errors: int = 0
    seconds: float = 0.0
    last_error: str = ""


class Observer(Protocol):
    """Who wants every call at once, to keep them where other processes see them too."""

    def observe(self, counted: Counted, seconds: float, *, failed: bool) -> None:
        """Take one call that is over."""
        ...

    def totals(self) -> Mapping[Counted, Tally] | None:
        """Return what all processes were told, None where this one is alone. No last errors."""
        ...


class Counters:
    """The tallies of this process since it began. Safe to use from many threads."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._tallies: dict[Counted, Tally] = {}

    def of(self, group: str, name: str, use: str = "") -> Calls:
        """Return where the calls of one plugin are counted."""
        return Calls(self, group, name, use)

    def note(self, counted: Counted, seconds: float, error: object | None) -> None:
        """Count one call that took so many seconds; ``error`` says what was wrong with it."""
        with self._lock:
            tally = self._tallies.get(counted)
            if tally is None:
                tally = self._tallies[counted] = Tally()
            tally.calls += 1
            tally.seconds += seconds
            if error is not None:
                tally.errors += 1
                tally.last_error = _message(error)
        if self._observer is not None:
            self._observer.observe(counted, seconds, failed=error is not None)

    def snapshot(self) -> dict[Counted, Tally]:
        """Return the tallies of this process as they are now."""
        with self._lock:
            return {counted: replace(tally) for counted, tally in self._tallies.items()}

    def totals(self) -> dict[Counted, Tally]:
        """Return the tallies of all processes, where these are kept, else those of this one.

        The last error is this process's own.
        """
        own = self.snapshot()
        kept = self._observer.totals() if self._observer is not None else None
        if kept is None:
            return own
        last = {counted: tally.last_error for counted, tally in own.items()}
        return {
            counted: replace(tally, last_error=last.get(counted, ""))
            for counted, tally in kept.items()
        }


class Calls:
    """The calls of one plugin in one use."""

    def __init__(self, counters: Counters, group: str, name: str, use: str) -> None:
        self._counters = counters
        self._plugin = (group, name, use)

    @contextmanager
    def counted(
        self, operation: str, *, is_answer: Callable[[BaseException], bool] | None = None
    ) -> Iterator[None]:
        """Count what is done inside as one call; what is raised passes, and is an error of it.

        :param is_answer: says of what was raised that the plugin did as it should.
        """
        began = time.perf_counter()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised if is_answer is None or not is_answer(raised) else None
            raise
        finally:
            self.note(operation, time.perf_counter() - began, error)

    def note(self, operation: str, seconds: float = 0.0, error: object | None = None) -> None:
        """Count one call that is over."""
        self._counters.note(Counted(*self._plugin, operation), seconds, error)


def _message(error: object) -> str:
    kind = f"{type(error).__name__}: " if isinstance(error, BaseException) else ""
    return f"{kind}{error}"[:LONGEST_MESSAGE]
