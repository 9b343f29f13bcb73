# SPDX-License-Identifier: Apache-2.0
"""An image on its way into a bucket: in one request or in parallel parts, in bounded memory.

Which requests these are is the bucket's business.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from glancekit.plugin import CHUNK_SIZE, ByteStream, GlancekitError, StoreFull
from glancekit_s3_store.bucket import Bucket, Part
from glancekit_s3_store.failures import is_silence
from glancekit_s3_store.options import Settings

log = logging.getLogger(__name__)

MOST_PARTS = 10_000
"""S3's own limit."""

GROWTH = 1_000
"""When the size is not known, parts become twice as large after as many parts as these: 10 GiB in
parts of 10 MiB, and 10 TiB in all."""

_MIB = 1 << 20


class Upload:
    """One image's upload. Nothing has its name before ``run`` returns."""

    def __init__(self, bucket: Bucket, key: str, size: int | None, settings: Settings) -> None:
        self._bucket = bucket
        self._key = key
        self._size = size
        self._settings = settings
        self._write = uuid.uuid4().hex

    def run(self, source: ByteStream) -> None:
        """Send all bytes of the source."""
        limit = self._limit_of_one_request()
        buffers = _Buffers()
        first = buffers.filled(source, limit)
        if len(first) < limit:
            self._bucket.put(self._key, first, self._write)
        else:
            self._run_in_parts(first, source, buffers)

    def _limit_of_one_request(self) -> int:
        """Return how many bytes are too many for one request."""
        if self._size is not None and self._size < self._settings.whole_below:
            return self._size + 1  # the size is the source's promise: it will end before that
        return self._part_size(1)

    def _part_size(self, number: int) -> int:
        least = self._settings.part_size
        if self._size is None:
            return least << (number - 1) // GROWTH
        needed = -(-self._size // MOST_PARTS)
        return least if needed <= least else -(-needed // _MIB) * _MIB

    def _run_in_parts(self, first: bytearray, source: ByteStream, buffers: _Buffers) -> None:
        upload = self._bucket.begin(self._key, self._write)
        try:
            parts = self._send_all(upload, first, source, buffers)
            self._bucket.complete(self._key, upload, parts, self._write)
        except BaseException as error:
            self._give_up(upload, after=error)
            raise

    def _send_all(
        self, upload: str, first: bytearray, source: ByteStream, buffers: _Buffers
    ) -> list[Part]:
        """Send parts while the next one is being filled; what failed is told by its turn."""
        sent: list[Part] = []
        under_way: deque[tuple[Future[Part], bytearray]] = deque()

        def take_result() -> None:
            future, data = under_way.popleft()
            sent.append(future.result())
            buffers.give_back(data)

        with ThreadPoolExecutor(self._settings.parallel, f"s3-{self._key}") as pool:
            try:
                part, number = first, 1
                while part:
                    if number > MOST_PARTS:
                        raise StoreFull
                    while len(under_way) >= self._parallel(number):
                        take_result()
                    put = self._bucket.put_part
                    under_way.append((pool.submit(put, self._key, upload, number, part), part))
                    number += 1
                    part = buffers.filled(source, self._part_size(number))
                while under_way:
                    take_result()
            except BaseException:
                # Those that are being sent are waited for: parts that arrive after the end of
                # their upload would stay.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return sent

    def _parallel(self, number: int) -> int:
        """Return how many parts may be on their way: fewer where they are larger."""
        room = self._settings.parallel * self._settings.part_size
        return max(1, room // self._part_size(number))

    def _give_up(self, upload: str, *, after: BaseException) -> None:
        if is_silence(after):
            # To ask once more takes as long again as it took to find that out.
            log.info("an unfinished upload of %s is left to be discarded", self._key)
            return
        try:
            self._bucket.abort(self._key, upload)
        except GlancekitError as error:
            # What went wrong before is on its way to the caller; discard will find the parts.
            log.warning("an unfinished upload of %s is left in the bucket: %s", self._key, error)


class _Buffers:
    """What parts are filled into, used again and again.

    Memory that is given back in pieces of this size does not leave the process at once, and what
    grows by itself takes an eighth more than it needs.
    """

    def __init__(self) -> None:
        self._unused: list[bytearray] = []

    def filled(self, source: ByteStream, limit: int) -> bytearray:
        """Read until there are as many bytes, or no more."""
        chunk = source.read(min(CHUNK_SIZE, limit))
        if not chunk:
            return bytearray()
        buffer = self._buffer(limit)
        length = 0
        while chunk:
            buffer[length : length + len(chunk)] = chunk
            length += len(chunk)
            chunk = source.read(min(CHUNK_SIZE, limit - length)) if length < limit else b""
        del buffer[length:]
        return buffer

    def give_back(self, data: bytearray) -> None:
        """Take what was filled once it is sent."""
        self._unused.append(data)

    def _buffer(self, size: int) -> bytearray:
        """Return one of this size; those of another are of parts that were smaller."""
        while self._unused:
            buffer = self._unused.pop()
            if len(buffer) == size:
                return buffer
        return bytearray(size)
