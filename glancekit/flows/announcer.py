# SPDX-License-Identifier: Apache-2.0
"""Putting imports on the board from processes that do not run them. Running is engine.py's.

TaskFlow takes a third of a second to import, which only who imports images should pay.
"""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from glancekit.flows.options import FlowSettings
from glancekit.flows.ports import Job

if TYPE_CHECKING:
    from glancekit.flows.engine import Board

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that an announcement at hand may take when the service closes."""


class Announcer:
    """Opens the board with the first import, in a thread: no request waits for that."""

    def __init__(self, settings: FlowSettings) -> None:
        self._settings = settings
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def announce(self, job: Job) -> None:
        """Put an import on the board, in a moment. Where that fails, a worker finds its task."""
        self._jobs.put(job)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="announce", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Let go of the board."""
        with self._lock:
            if self._thread is not None:
                self._jobs.put(None)
                self._thread.join(PATIENCE)
                self._thread = None

    def _work(self) -> None:
        board: Board | None = None
        while (job := self._jobs.get()) is not None:
            try:
                board = board or self._open()
                board.post(job)
            except Exception as error:  # whatever the board's library raises; nothing is lost
                log.warning(
                    "import %s is not on the board yet, a worker will find it: %s: %s",
                    *(job.task_id, type(error).__name__, error),
                )
        if board is not None:
            board.close()

    def _open(self) -> Board:
        from glancekit.flows.engine import Board

        return Board(self._settings)
