# SPDX-License-Identifier: Apache-2.0
"""Whether this process was told to stop, by a signal or not. What stops is not its business."""

from __future__ import annotations

import signal
from queue import Empty, SimpleQueue


class Stopping:
    """A word that is said once and waited for by the main thread.

    A signal's handler runs in the main thread, wherever that is at the moment. In the middle of
    waiting for a ``threading.Event`` it would wait for a lock that this thread itself holds; a
    ``SimpleQueue`` may be put into by a handler.
    """

    def __init__(self) -> None:
        self._said: SimpleQueue[None] = SimpleQueue()

    def listen(self) -> None:
        """Take SIGTERM and Ctrl-C for the word. For the main thread."""
        for sign in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sign, lambda *_: self.say())

    def say(self) -> None:
        """Tell the process to stop."""
        self._said.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the word for so long, or for ever, and tell whether it was said."""
        try:
            self._said.get(timeout=seconds)
        except Empty:
            return False
        return True
