# SPDX-License-Identifier: Apache-2.0
"""Threads of this process for work that outlives its request, whatever that work is.

Such work must be safe to be cut off: whoever gives it writes down first that it is to be done.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Pieces of work that one process does at a time."""

PATIENCE = 5.0
"""Seconds that work has to notice that the process is stopping."""


class Background:
    """A few threads. ``stopping`` is for long work to look at between its steps."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.stopping = threading.Event()
        self._free = threading.Semaphore(at_once)
        self._threads: set[threading.Thread] = set()

    def start(self, name: str, work: Callable[[], object]) -> bool:
        """Do something in a thread; False when there is none free, or no time any more."""
        if self.stopping.is_set() or not self._free.acquire(blocking=False):
            return False
        thread = threading.Thread(target=self._run, args=(name, work), name=name, daemon=True)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            log.error("%s could not be started: %s", name, error)
            self._threads.discard(thread)
            self._free.release()
            return False
        return True

    def stop(self) -> None:
        """Start nothing more, and give what is running a moment to notice."""
        self.stopping.set()
        for thread in list(self._threads):
            thread.join(PATIENCE)

    def _run(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception:  # nobody waits for this thread, so the log is all there is to tell
            log.exception("%s failed", name)
        finally:
            self._threads.discard(threading.current_thread())
            self._free.release()
