# SPDX-License-Identifier: Apache-2.0
"""Work that repeats, and the thread that runs it. Which process may is decided by the lock it is given.

What a task does is its own business; so is being safe when it is cut off and run again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from glancekit.core.contracts.metadata import MetadataDriver

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """One thing to do every ``interval`` seconds; the first time right after the start."""

    name: str
    interval: float
    run: Callable[[], object]


class PeriodicWorld(Protocol):
    """What a periodic task gets to work with."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...


class Election(AbstractContextManager["Election"], Protocol):
    """A lock that one process of the whole service holds at a time."""

    def wait(self, timeout: float) -> bool:
        """Wait for it so many seconds; True when this process has it (now or already)."""
        ...


class PeriodicRunner:
    """Runs tasks in a thread of its own while this process is the elected one."""

    def __init__(self, tasks: Sequence[PeriodicTask], election: Election) -> None:
        self._due = {task.name: 0.0 for task in tasks}
        self._tasks = {task.name: task for task in tasks}
        self._election = election
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="periodic", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End after the task at hand, waiting at most so many seconds for it."""
        self._stopping.set()
        self._thread.join(timeout)

    def wake(self) -> None:
        """Make every task due now."""
        for name in self._due:
            self._due[name] = 0.0

    def _loop(self) -> None:
        with self._election as election:
            while not self._stopping.is_set():
                if election.wait(timeout=1.0):
                    self._run_due()
                    self._stopping.wait(0.2)

    def _run_due(self) -> None:
        for name, task in self._tasks.items():
            if self._stopping.is_set() or self._due[name] > time.monotonic():
                continue
            self._due[name] = time.monotonic() + task.interval
            try:
                task.run()
            except Exception:  # a task that fails must not stop the others, or itself next time
                log.exception("periodic task %s failed; it runs again in %s s", name, task.interval)
