# SPDX-License-Identifier: Apache-2.0
"""Numbers that all processes of a host count together, each in a file of eight bytes."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_BYTES = 8
_MODE = 0o600


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock of a file, made if need be, against all threads and processes of the host.

    The kernel lets go of it when the process dies. Yields the file's number.
    """
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield number
    finally:
        os.close(number)


def count(path: Path, more: int = 1) -> None:
    """Add to a number. Its file's time is then that of the last count.

    A number that cannot be written costs nobody a download: it is logged, and lags behind.
    """
    try:
        with locked(path) as number:
            total = int.from_bytes(os.pread(number, _BYTES, 0)) + more
            os.pwrite(number, total.to_bytes(_BYTES), 0)
    except OSError as error:
        log.warning("could not count in %s: %s", path, error)


def counted(path: Path) -> int:
    """Return a number, 0 where nothing was counted."""
    try:
        return int.from_bytes(path.read_bytes()[:_BYTES])
    except FileNotFoundError:
        return 0
