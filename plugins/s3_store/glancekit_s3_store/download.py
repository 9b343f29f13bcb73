# SPDX-License-Identifier: Apache-2.0
"""An object on its way out of a bucket, in ranges, some of them ahead of the reader; a connection
that breaks is made again where it was. Which requests these are is the bucket's business.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from glancekit.plugin import CHUNK_SIZE, ByteStream, StoreFailed, StoreUnavailable
from glancekit_s3_store.bucket import Bucket, Opened
from glancekit_s3_store.failures import translated

log = logging.getLogger(__name__)

RANGE = 8 << 20
"""Bytes of one request: enough that what a request costs does not count."""

ATTEMPTS = 3
"""How often it is tried again without a single byte in between."""


class Download(ByteStream):
    """The bytes of an object from ``offset`` on, ``length`` of them or all that are left.

    The first range is read as it comes. Who goes on reading gets the next ones from threads, up to
    ``parallel`` of them at a time: that many ranges, and the one at hand, are in memory at most.
    """

    def __init__(
        self,
        bucket: Bucket,
        key: str,
        *,
        offset: int = 0,
        length: int | None = None,
        parallel: int = 1,
    ) -> None:
        # Nothing cannot be asked for; that it is of something is answered all the same.
        asked = RANGE if length is None else min(RANGE, max(1, length))
        opened = bucket.get(key, offset=offset, length=asked)
        self._first = Range(bucket, key, opened, offset)
        self._chunks: Iterator[bytes] = iter(()) if length == 0 else self._first.chunks()
        self._next = offset + opened.length
        self._end = opened.total if length is None else min(opened.total, offset + length)
        self._parallel = parallel
        self._ahead = 0
        self._under_way: deque[Future[deque[bytes]]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._closed = threading.Event()
        self._rest = memoryview(b"")
        self._failure: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next."""
        if size < 0:
            return b"".join(self)
        if not self._rest and size:
            self._rest = memoryview(self._next_chunk())
        taken, self._rest = self._rest[:size], self._rest[size:]
        return bytes(taken)

    def close(self) -> None:
        """Let go of the connections; what was not read is not fetched."""
        self._closed.set()
        self._rest = memoryview(b"")
        self._first.close()
        self._under_way.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _next_chunk(self) -> bytes:
        """Return the next bytes; what this raised once it raises again: nothing is skipped."""
        if self._failure is not None:
            raise self._failure
        try:
            return self._taken()
        except BaseException as error:
            self._failure = error
            raise

    def _taken(self) -> bytes:
        while not self._closed.is_set():
            chunk = next(self._chunks, b"")
            if chunk:
                return chunk
            self._ask_ahead()
            if not self._under_way:
                break
            self._chunks = _emptying(self._under_way.popleft().result())
            # Short reads do not pay for long ones: it grows as the reader goes on.
            self._ahead = min(self._parallel, max(1, self._ahead * 2))
            self._ask_ahead()
        return b""

    def _ask_ahead(self) -> None:
        while self._next < self._end and len(self._under_way) < max(1, self._ahead):
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._parallel, "s3-read")
            length = min(RANGE, self._end - self._next)
            self._under_way.append(
                self._pool.submit(self._first.another, self._next, length, self._closed)
            )
            self._next += length


class Range:
    """One range of an object. All ranges of a download are of the same object, or it fails."""

    def __init__(self, bucket: Bucket, key: str, opened: Opened, offset: int) -> None:
        self._bucket = bucket
        self._key = key
        self._opened = opened
        self._at = offset
        self._end = offset + opened.length
        self._failures = 0

    def another(self, offset: int, length: int, given_up: threading.Event) -> deque[bytes]:
        """Fetch another range of the object, unless the reader is gone."""
        fetched: deque[bytes] = deque()
        if given_up.is_set():
            return fetched
        opened = self._open(offset, length)
        part = Range(self._bucket, self._key, opened, offset)
        try:
            for chunk in part.chunks():
                fetched.append(chunk)
                if given_up.is_set():
                    break
        finally:
            part.close()
        return fetched

    def chunks(self) -> Iterator[bytes]:
        """Yield what comes next, from another connection where the last one broke."""
        while self._at < self._end:
            try:
                chunk = self._chunk()
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures > ATTEMPTS:
                    raise
                log.warning("reading %s goes on at byte %d after: %s", self._key, self._at, error)
                self.close()
                self._opened = self._open(self._at, self._end - self._at)
            else:
                yield chunk

    def close(self) -> None:
        """Let go of the connection."""
        self._opened.body.close()

    def _open(self, offset: int, length: int) -> Opened:
        opened = self._bucket.get(self._key, offset=offset, length=length, etag=self._opened.etag)
        if opened.etag != self._opened.etag or opened.length != length:
            opened.body.close()
            raise StoreFailed("the object was replaced while it was being read")
        return opened

    def _chunk(self) -> bytes:
        left = self._end - self._at
        body = self._opened.body
        with translated("reading"):
            chunk = bytes(body.read(min(CHUNK_SIZE, left)))
            if len(chunk) == left:
                body.read(1)  # at the end of it the SDK compares the checksum, where there is one
        if not chunk:
            raise StoreUnavailable(f"the object ended {left} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk


def _emptying(chunks: deque[bytes]) -> Iterator[bytes]:
    """Yield chunks and forget them."""
    while chunks:
        yield chunks.popleft()
