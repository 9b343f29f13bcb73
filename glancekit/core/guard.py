# SPDX-License-Identifier: Apache-2.0
"""What stands between the service and one store's driver: deadline, breaker, stamped errors.

What is asked of the driver is the business of stores.py.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from glancekit.core.breaker import Breaker, BreakerState, BreakerStatus
from glancekit.core.counters import Calls, Counters
from glancekit.core.deadline import Deadline, DeadlineMissed
from glancekit.core.errors import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BlobUnavailable,
    GlancekitError,
    StoreDenied,
    StoreError,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 4
"""Calls to one store that may hang at a time; while so many do, further ones fail at once."""

THREADS_OF_MANY = 64
"""The same for a store that cannot be asked how it is, for each of its locations may be on another
server: those that hang must not keep the others waiting."""

_ANSWERS = (BlobExists, BlobInUse, BlobNotFound, BlobUnavailable, StoreDenied, StoreFull)
"""Errors that a store can only give when it is there."""

_NO_FAULTS = (BlobExists, BlobInUse, BlobNotFound)
"""Errors that say how things are: nothing is wrong with a store that gives them."""


class Tells(Enum):
    """What it says of a store that an operation went well."""

    NOTHING = "nothing"
    """It may not have been asked (a URL is signed here), or answers when reads do not."""

    IT_WORKS = "it works"


class Guard:
    """Calls to a driver, made safe for whoever makes them.

    A call that hangs is unavailability after ``deadline`` seconds (0: never). When too many calls
    in a row end like that, the ``breaker`` opens: further ones are refused at once, and a thread
    asks the driver itself, by ``probe``, until it answers. ``calls`` is where all are counted.
    """

    def __init__(
        self,
        store: str,
        *,
        deadline: float,
        breaker: Breaker | None = None,
        probe: Callable[[], None] | None = None,
        calls: Calls | None = None,
    ) -> None:
        self._store = store
        self._calls = Counters().of("", store) if calls is None else calls
        threads = THREADS if probe is not None else THREADS_OF_MANY
        name = f"store {store}"
        self._deadline = Deadline(name, deadline, threads=threads) if deadline > 0 else None
        self._breaker = breaker if probe is not None else None
        self._probe = probe
        self._prober: threading.Thread | None = None
        self._prober_lock = threading.Lock()
        self._closing = threading.Event()

    @property
    def status(self) -> BreakerStatus:
        """How the breaker is; closed where there is none."""
        if self._breaker is None:
            return BreakerStatus(BreakerState.CLOSED)
        return self._breaker.status()

    @property
    def is_open(self) -> bool:
        """Calls would be refused."""
        return self._breaker is not None and not self._breaker.is_closed

    def require_closed(self, operation: str) -> None:
        """Refuse at once what would only wait.

        :raises StoreUnavailable: with the seconds after which it is worth asking again.
        """
        if self._breaker is None or self._breaker.is_closed:
            return
        status = self._breaker.status()
        if not status.is_closed:
            self._see_that_it_is_probed()
            raise StoreUnavailable(
                f"it did not answer before ({status.reason}), and is asked again soon",
                store=self._store,
                operation=operation,
                retry_after=max(1, math.ceil(status.retry_after)),
            )

    def answer(
        self,
        operation: str,
        ask: Callable[[], T],
        *,
        tells: Tells = Tells.IT_WORKS,
        too_late: Callable[[T], object] | None = None,
    ) -> T:
        """Return the driver's answer, unless it takes too long or there is no hope of one.

        :param too_late: takes an answer that came after the deadline, to let go of what it holds.
        """
        self.require_closed(operation)
        with self.told(operation, tells=tells):
            return self._in_time(ask, too_late)

    def answer_anyway(self, operation: str, ask: Callable[[], T]) -> T:
        """Return the driver's answer in time, whatever is known of it; nothing is learnt."""
        with self.stamped(operation):
            return self._in_time(ask, None)

    @contextmanager
    def told(self, operation: str, *, tells: Tells = Tells.IT_WORKS) -> Iterator[None]:
        """Stamp errors, and let the breaker know how it went."""
        try:
            with self.stamped(operation):
                yield
        except StoreError as error:
            self._learn(error)
            raise
        if tells is Tells.IT_WORKS:
            self.works()

    def works(self) -> None:
        """Hear that the store has given what was asked for."""
        if self._breaker is not None:
            self._breaker.succeeded()

    def has_begun_to_give(self, seconds: float) -> None:
        """Hear that a stream's first bytes have come, so many seconds after they were wanted."""
        self._calls.note("read", seconds)
        self.works()

    @contextmanager
    def stamped(self, operation: str) -> Iterator[None]:
        """Say in every error where it came from; make ours what a driver did not translate.

        What is done inside is counted as one call.
        """
        with self._calls.counted(operation, is_answer=self._is_no_fault), self._ours(operation):
            yield

    def close(self) -> None:
        """Let the threads end; those that hang end when their call does."""
        self._closing.set()
        if self._deadline is not None:
            self._deadline.close()

    # -- how

    def _is_no_fault(self, error: BaseException) -> bool:
        """Say whether a store that raised this did as it should, or another thing raised it."""
        if not isinstance(error, StoreError):
            return True
        return isinstance(error, _NO_FAULTS) or error.store != self._store

    @contextmanager
    def _ours(self, operation: str) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            error.stamp(store=self._store, operation=operation)
            raise
        except GlancekitError:
            raise
        except DeadlineMissed as error:
            raise StoreUnavailable(str(error), store=self._store, operation=operation) from error
        except (Exception, SystemExit) as error:  # it may end itself, not the service
            detail = f"{type(error).__name__}: {error}"
            raise StoreFailed(detail, store=self._store, operation=operation) from error

    def _in_time(self, ask: Callable[[], T], too_late: Callable[[T], object] | None) -> T:
        if self._deadline is None:
            return ask()
        return self._deadline.call(ask, too_late=too_late)

    def _learn(self, error: StoreError) -> None:
        """Take what an error says of the store.

        A source that is itself read from a store may bring that one's error into this one's write.
        """
        if self._breaker is None or error.store != self._store:
            return
        if isinstance(error, _ANSWERS):
            self._breaker.succeeded()
        elif _is_silence(error) and self._breaker.failed(str(error.detail)):
            log.error("store %s is passed over until it answers again: %s", self._store, error)
            self._see_that_it_is_probed()

    def _see_that_it_is_probed(self) -> None:
        """Have one thread do it; when it cannot be started now, the next refused call tries."""
        with self._prober_lock:
            if self._closing.is_set() or (self._prober is not None and self._prober.is_alive()):
                return
            self._prober = threading.Thread(
                target=self._probe_until_closed, name=f"probe of {self._store}", daemon=True
            )
            try:
                self._prober.start()
            except RuntimeError as error:
                self._prober = None
                log.error("no thread to ask store %s how it is: %s", self._store, error)

    def _probe_until_closed(self) -> None:
        breaker, probe = self._breaker, self._probe
        assert breaker is not None
        assert probe is not None
        while not self._closing.wait(breaker.status().retry_after):
            if breaker.begin_probe():
                failure = self._failure_of(probe)
                breaker.end_probe(failure)
                if failure is None:
                    log.warning("store %s answers again", self._store)
                    return

    def _failure_of(self, probe: Callable[[], None]) -> str | None:
        try:
            self.answer_anyway("check", probe)
        except StoreError as error:
            return None if isinstance(error, _ANSWERS) else str(error.detail)
        except GlancekitError as error:
            return str(error)
        return None


def _is_silence(error: StoreError) -> bool:
    """Say whether the store was asked and did not answer."""
    missed = error.__cause__
    was_asked = not isinstance(missed, DeadlineMissed) or missed.was_begun
    return isinstance(error, StoreUnavailable) and was_asked
