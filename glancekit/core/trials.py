# SPDX-License-Identifier: Apache-2.0
"""Running a stranger's code so that it can neither hang nor end the process.

What the code is for is not its business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """A job was not done in time; what became of it is unknown."""


def attempt_all(jobs: Sequence[Callable[[], T]], *, deadline: float) -> list[T | BaseException]:
    """Run all jobs at once, each in a thread of its own; return what each gave or raised.

    One that is not done after ``deadline`` seconds counts as ``Overdue``; all such together cost
    one deadline. A thread cannot be ended from outside: it stays behind, and is no hindrance when
    the process ends.
    """
    futures: list[Future[T]] = [_start(job) for job in jobs]
    end = time.monotonic() + deadline
    outcomes: list[T | BaseException] = []
    for future in futures:
        outcome = _outcome(future, max(0.0, end - time.monotonic()))
        outcomes.append(outcome)
    return outcomes


def _start(job: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # sys.exit() in a plugin is its error, not our end
            future.set_exception(error)

    threading.Thread(target=run, name="trial", daemon=True).start()
    return future


def _outcome(future: Future[T], timeout: float) -> T | BaseException:
    try:
        error = future.exception(timeout)
    except TimeoutError:
        return Overdue()
    return future.result() if error is None else error
