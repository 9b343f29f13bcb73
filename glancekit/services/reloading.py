# SPDX-License-Identifier: Apache-2.0
"""What an operator's files say, read again when they change. What is in them is not its business.

While a file cannot be used, what it said before counts on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from glancekit.core.errors import ConfigError

log = logging.getLogger(__name__)

SECONDS = 1.0
"""How often files are looked at, at most: a look costs a few microseconds."""

T = TypeVar("T")

Stamp = tuple[tuple[Path, int, int, int], ...]


class Reloaded(Generic[T]):
    """A value made of files. Used from many threads; one of them makes it anew."""

    def __init__(
        self,
        find: Callable[[], Sequence[Path]],
        load: Callable[[Sequence[Path]], T],
        *,
        seconds: float = SECONDS,
    ) -> None:
        """Make the value for the first time.

        :param find: returns the files that are there now.
        :param load: makes the value of them.
        :param seconds: how often to look at most.
        :raises ConfigError: when that is not possible.
        """
        self._find = find
        self._load = load
        self._seconds = seconds
        self._turn = threading.Lock()
        self._problem = ""
        self._files = list(find())
        self._stamp = _stamp(self._files)
        self._value = load(self._files)
        self._looked = time.monotonic()

    def get(self) -> T:
        """Return the value, as of the last look."""
        if time.monotonic() - self._looked >= self._seconds and self._turn.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looked = time.monotonic()
                self._turn.release()
        return self._value

    def _look(self) -> None:
        try:
            self._renew()
        except ConfigError as error:
            if str(error) != self._problem:
                log.error("%s. The rules from before stay in force", error)
            self._problem = str(error)
        else:
            self._problem = ""

    def _renew(self) -> None:
        files = list(self._find())
        stamp = _stamp(files)  # before reading: what is written meanwhile is seen next time
        if stamp == self._stamp:
            return
        self._stamp = stamp
        gone = [file for file in self._files if file not in files]
        if gone:
            raise ConfigError(f"{gone[0]} is gone; put it back, or start again to do without it")
        self._value = self._load(files)
        self._files = files
        names = ", ".join(str(file) for file in files)
        log.info("read again, because something changed: %s", names)


def _stamp(files: Sequence[Path]) -> Stamp:
    """Return what changes when a file does; one that cannot be looked at is named all the same."""
    return tuple(_stamp_of(file) for file in files)


def _stamp_of(file: Path) -> tuple[Path, int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return (file, 0, 0, 0)
    return (file, found.st_mtime_ns, found.st_size, found.st_ino)
