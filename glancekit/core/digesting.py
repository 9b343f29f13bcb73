# SPDX-License-Identifier: Apache-2.0
"""Digests of bytes on their way, beside whatever else is done to them.

Where the bytes go, and what they should digest to, is not its business.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

from glancekit.core.errors import ConfigError
from glancekit.core.stream import CHUNK_SIZE

QUEUED_CHUNKS = 4
"""How far a digest may fall behind; with the chunk in hand the memory that a transfer takes."""

CHECKSUM_ALGORITHM = "md5"
"""What the Images API calls an image's ``checksum``."""

_ZEROS = bytes(CHUNK_SIZE)


class Digests:
    """Several digests of the same bytes."""

    def __init__(self, running: Mapping[str, _Digest]) -> None:
        self._running = running

    def feed(self, chunk: bytes | bytearray) -> None:
        """Take the next bytes, which nobody changes any more; waits when one is far behind."""
        for digest in self._running.values():
            digest.feed(chunk)

    def feed_zeros(self, count: int) -> None:
        """Take so many bytes of zero, of which nobody has to hold more than a chunk."""
        while count > 0:
            chunk = _ZEROS if count >= len(_ZEROS) else _ZEROS[:count]
            self.feed(chunk)
            count -= len(chunk)

    def finish(self) -> dict[str, str]:
        """Return the digests of all that was fed, in hex by algorithm."""
        return {name: digest.finish() for name, digest in self._running.items()}


@contextmanager
def digesting(algorithms: Iterable[str]) -> Iterator[Digests]:
    """Run digests, each on a thread of its own, and end the threads whatever happens.

    :raises ConfigError: when this system does not have one of them.
    """
    with ExitStack() as stack:
        running = {name: stack.enter_context(_running(name)) for name in dict.fromkeys(algorithms)}
        yield Digests(running)


@contextmanager
def _running(algorithm: str) -> Iterator[_Digest]:
    digest = _Digest(algorithm)
    try:
        yield digest
    finally:
        digest.stop()


class _Digest:
    """One digest on its own thread: hashlib lets go of the interpreter lock while it works.

    A simple queue has no limit, but costs a tenth of one that has: ``_room`` is the limit.
    """

    def __init__(self, algorithm: str) -> None:
        try:
            self._hash = hashlib.new(algorithm, usedforsecurity=False)
        except ValueError as error:
            raise ConfigError(
                f"There is no digest '{algorithm}' on this system; "
                f"set 'hashing_algorithm' to one of {sorted(hashlib.algorithms_available)}"
            ) from error
        self._chunks: SimpleQueue[bytes | bytearray | None] = SimpleQueue()
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(QUEUED_CHUNKS):
            self._room.put(None)
        self._thread = threading.Thread(target=self._work, name=f"digest {algorithm}", daemon=True)
        self._thread.start()

    def feed(self, chunk: bytes | bytearray) -> None:
        """Take the next bytes; waits when the digest is far behind."""
        self._room.get()
        self._chunks.put(chunk)

    def finish(self) -> str:
        """Return the digest of all that was fed, in hex."""
        self.stop()
        return self._hash.hexdigest()

    def stop(self) -> None:
        """End the thread; harmless when called again."""
        if self._thread.is_alive():
            self._chunks.put(None)
            self._thread.join()

    def _work(self) -> None:
        update, get, make_room = self._hash.update, self._chunks.get, self._room.put
        while chunk := get():
            make_room(None)
            update(chunk)
            chunk = None  # the next may be long in coming; do not hold this one meanwhile
