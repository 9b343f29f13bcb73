# SPDX-License-Identifier: Apache-2.0
"""What a medium is to the benchmark: a real server, a store's configuration and the server's own
tool. A new one is a module with a class of these, entered in ``__main__``.
"""

from __future__ import annotations

import hashlib
import io
import queue
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from benchmarks.report import Row
from benchmarks.running import Service

MIB = 1 << 20


class Medium(AbstractContextManager["Medium"], ABC):
    """A running medium. Entering starts it, leaving ends it."""

    driver: str
    """The store's driver."""

    tool: str
    """What the medium's own tool is called in the table."""

    writable = True
    """Whether images can be uploaded to it; where not, ``register`` gives the service one."""

    @abstractmethod
    def options(self) -> dict[str, str]:
        """Return the options of the store's section."""

    @abstractmethod
    def put(self, source: Path) -> None:
        """Put a file's bytes into it with its own tool, and digest them as the service does."""

    @abstractmethod
    def get(self, to: BinaryIO) -> None:
        """Fetch what ``put`` has put there with its own tool, and write it to a file or pipe."""

    @abstractmethod
    def remove(self) -> None:
        """Remove what ``put`` has put there."""

    def settings(self) -> str:
        """Return further lines of the service's configuration."""
        return ""

    def register(self, running: Service) -> str:
        """Make an image of what ``put`` has put there, and return its id."""
        raise AssertionError(f"{self.driver} takes uploads")

    def more(self, running: Service, folder: Path, rounds: int) -> Iterator[Row]:
        """Measure what only this medium has."""
        yield from ()


def run_and_digest(
    command: Sequence[str], source: Path, env: Mapping[str, str] | None = None
) -> None:
    """Run a tool that sends a file, and digest the file meanwhile.

    :raises subprocess.CalledProcessError: when the tool fails.
    """
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env) as tool,
        digested(source) as data,
    ):
        while data.read(MIB):
            pass
    if tool.returncode:
        raise subprocess.CalledProcessError(tool.returncode, command[0])


def digested(source: Path) -> Digesting:
    """Open a file whose bytes are digested as they are read."""
    return Digesting(source.open("rb", buffering=0))


class Digesting(io.RawIOBase):
    """A file whose bytes are digested as they are read: MD5 and SHA-512, a thread for each."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._queues: list[queue.Queue[bytes]] = [queue.Queue(8) for _ in range(2)]
        digests = (hashlib.md5(usedforsecurity=False), hashlib.sha512())
        self._threads = [
            threading.Thread(target=_digest, args=pair)
            for pair in zip(digests, self._queues, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, and have them digested."""
        piece = self._file.read(MIB if size < 0 else size)
        if piece:
            for each in self._queues:
                each.put(piece)
        return piece

    def close(self) -> None:
        """Wait until everything is digested."""
        if not self.closed:
            for each in self._queues:
                each.put(b"")
            for thread in self._threads:
                thread.join()
            self._file.close()
        super().close()


def _digest(digest: hashlib._Hash, pieces: queue.Queue[bytes]) -> None:
    while piece := pieces.get():
        digest.update(piece)
