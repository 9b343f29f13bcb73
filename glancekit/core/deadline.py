# SPDX-License-Identifier: Apache-2.0
"""Calls that may hang, kept from hanging the rest. What is called is not its business."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlineMissed(Exception):
    """The call did not return in time; it may still be running.

    ``was_begun``: it, or those that it had to wait for, did not return. Otherwise it only waited
    for its turn, which says nothing of what it would have asked.
    """

    def __init__(self, message: str, *, was_begun: bool = True) -> None:
        super().__init__(message)
        self.was_begun = was_begun


@dataclass(slots=True, eq=False)
class _Call:
    work: Callable[[], Any]
    too_late: Callable[[Any], object] | None
    future: Future[Any] = field(default_factory=Future)
    given_up: bool = False


class Deadline:
    """Runs calls in a few daemon threads and waits ``seconds`` for each.

    A hung system call cannot be interrupted, so its thread is lost until it returns. There are at
    most ``threads`` of them: when all hang, further calls fail at once instead of queueing up, and
    when one comes back it works again. Threads are started by the first calls, so a Deadline that
    was not used before a fork works on both sides of it.
    """

    def __init__(self, name: str, seconds: float, *, threads: int = 4) -> None:
        self._name = name
        self._seconds = seconds
        self._most = threads
        self._queue: SimpleQueue[_Call | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._busy = 0
        self._hanging = 0

    def call(self, work: Callable[[], T], *, too_late: Callable[[T], object] | None = None) -> T:
        """Return what ``work`` returns, or raise what it raises.

        :param too_late: takes a result that came after the deadline, to let go of what it holds.
        :raises DeadlineMissed: when there is no result in time, every thread hangs already, or
            none can be started.
        """
        call = _Call(work, too_late)
        self._submit(call)
        try:
            return call.future.result(self._seconds)  # type: ignore[no-any-return]
        except FutureTimeout:
            if call.future.done():  # the work itself raised this, or ended in this very moment
                return call.future.result()  # type: ignore[no-any-return]
            return self._give_up(call)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Let the threads end; those that hang end when their call does."""
        with self._lock:
            for _ in range(self._started):
                self._queue.put(None)
            self._started = 0

    def _submit(self, call: _Call) -> None:
        with self._lock:
            if self._hanging >= self._most:
                raise DeadlineMissed(f"{self._hanging} earlier calls have not returned yet")
            self._busy += 1
            if self._started < min(self._busy, self._most):
                self._start_one()
        self._queue.put(call)

    def _start_one(self) -> None:
        """Start a thread. Where the system has none to give, those that there are must do."""
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError as error:
            if not self._started:
                self._busy -= 1
                raise DeadlineMissed("no thread can be started", was_begun=False) from error
        else:
            self._started += 1

    def _give_up(self, call: _Call) -> Any:
        with self._lock:
            if call.future.done():
                return call.future.result()
            call.given_up = True
            was_begun = not call.future.cancel()
            if was_begun:
                self._hanging += 1
            else:  # still in the queue: no thread hangs in this one
                self._busy -= 1
        raise DeadlineMissed(f"no answer within {self._seconds:g} s", was_begun=was_begun)

    def _work(self) -> None:
        while call := self._queue.get():
            if call.future.set_running_or_notify_cancel():
                self._run(call)
            call = None  # its result is not ours to keep until the next one comes

    def _run(self, call: _Call) -> None:
        result, error = None, None
        try:
            result = call.work()
        except BaseException as raised:  # carried to the caller, whose it is
            error = raised
        with self._lock:
            self._busy -= 1
            if call.given_up:
                self._hanging -= 1
            elif error is None:
                call.future.set_result(result)
            else:
                call.future.set_exception(error)
        if call.given_up and error is None and call.too_late is not None:
            call.too_late(result)
