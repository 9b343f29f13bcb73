# SPDX-License-Identifier: Apache-2.0
"""A file on its way out of a datastore, a little ahead of its reader; a connection that breaks is
made again where it was.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from glancekit.plugin import CHUNK_SIZE, ByteStream, StoreFailed, StoreUnavailable
from glancekit_vmware_store.failures import translated
from glancekit_vmware_store.folder import Folder
from glancekit_vmware_store.places import Place

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often it is tried again without a single byte in between."""

AHEAD = 3
"""Chunks that are fetched and decrypted while the reader is busy with another."""


class Download(ByteStream):
    """The bytes of a file from ``offset`` on.

    The first chunk is received by who asks for it; who goes on gets the next from a thread.
    """

    def __init__(
        self, folder: Folder, place: Place, *, offset: int = 0, length: int | None = None
    ) -> None:
        self._receiver = Receiver(folder, place, offset, length)
        self._rest = memoryview(b"")
        self._is_first = True
        self._under_way: deque[Future[bytes]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._failure: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next."""
        if size < 0:
            return b"".join(self)
        if not self._rest and size:
            chunk = self._next_chunk()
            if len(chunk) <= size:
                return chunk  # as it came; slices are copies
            self._rest = memoryview(chunk)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def close(self) -> None:
        """Let go of the connection; what was not read is not fetched."""
        self._rest = memoryview(b"")
        self._under_way.clear()
        self._receiver.stop()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _next_chunk(self) -> bytes:
        """Return the next bytes; what this raised once it raises again: nothing is skipped."""
        if self._failure is not None:
            raise self._failure
        try:
            if self._is_first:
                self._is_first = False
                return self._receiver.receive()
            return self._next_from_thread()
        except BaseException as error:
            self._failure = error
            raise

    def _next_from_thread(self) -> bytes:
        while len(self._under_way) <= AHEAD and not self._receiver.is_done():
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, "vmware-download")
            self._under_way.append(self._pool.submit(self._receiver.receive))
        return self._under_way.popleft().result() if self._under_way else b""


class Receiver:
    """Receives a file's bytes in order, by one thread at a time."""

    def __init__(self, folder: Folder, place: Place, offset: int, length: int | None) -> None:
        self._folder = folder
        self._place = place
        self._opened = self._first = folder.get(place, offset, length)
        self._at = offset
        self._end = offset + self._opened.length
        self._failures = 0
        self._lock = threading.Lock()
        self._is_busy = False
        self._is_over = False

    def is_done(self) -> bool:
        """Say whether nothing is left to be received, or nobody wants it."""
        return self._is_over or self._at == self._end

    def receive(self) -> bytes:
        """Return the next bytes, none at the end; after an error there are none."""
        with self._lock:
            if self.is_done():
                return b""
            self._is_busy = True
        try:
            return self._receive_or_resume()
        except BaseException:
            self._is_over = True
            raise
        finally:
            with self._lock:
                self._is_busy = False
                if self.is_done():
                    self._opened.close()

    def stop(self) -> None:
        """End the connection, also if a thread waits for it: that one then closes it."""
        with self._lock:
            self._is_over = True
            self._opened.cut()
            if not self._is_busy:
                self._opened.close()

    def _receive_or_resume(self) -> bytes:
        """Receive, by another connection where the last one broke."""
        while True:
            try:
                return self._receive(min(CHUNK_SIZE, self._end - self._at))
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures > ATTEMPTS or self._is_over:
                    raise
                name, at = self._place.name, self._at
                log.warning("reading %s goes on at byte %d after: %s", name, at, error)
                self._reopen()

    def _receive(self, size: int) -> bytes:
        with translated("reading"):
            chunk = self._opened.response.read(size)
        if not chunk:
            raise StoreUnavailable(f"the file ended {self._end - self._at} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk

    def _reopen(self) -> None:
        self._opened.close()
        opened = self._folder.get(self._place, self._at, self._end - self._at)
        with self._lock:
            self._opened = opened
            if self._is_over:
                opened.cut()
        if (opened.total, opened.version) != (self._first.total, self._first.version):
            raise StoreFailed("the file was replaced while it was being read")
