# SPDX-License-Identifier: Apache-2.0
"""An object on its way out of a bucket; a connection that breaks is made again where it was."""

from __future__ import annotations

import logging

from glancekit.plugin import ByteStream, StoreFailed, StoreUnavailable
from glancekit_s3_store.bucket import Bucket, Opened
from glancekit_s3_store.failures import translated

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often it is tried again without a single byte in between."""


class Download(ByteStream):
    """The bytes of an object from ``offset`` on."""

    def __init__(
        self, bucket: Bucket, key: str, *, offset: int = 0, length: int | None = None
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._opened: Opened | None = bucket.get(key, offset=offset, length=length)
        self._etag = self._opened.etag
        self._at = offset
        self._end = offset + self._opened.length
        self._failures = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next, from another connection where the last one broke."""
        if self._opened is None or self._at == self._end:
            return b""
        asked = self._end - self._at if size < 0 else min(size, self._end - self._at)
        while True:
            try:
                return self._read(asked)
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures > ATTEMPTS:
                    raise
                log.warning("reading %s goes on at byte %d after: %s", self._key, self._at, error)
                self._reopen()

    def close(self) -> None:
        """Let go of the connection; what was not read of the answer is not fetched."""
        if self._opened is not None:
            self._opened.body.close()
            self._opened = None

    def _read(self, size: int) -> bytes:
        assert self._opened is not None
        with translated("reading"):
            chunk = bytes(self._opened.body.read(size))
        if not chunk and size:
            raise StoreUnavailable(f"the object ended {self._end - self._at} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk

    def _reopen(self) -> None:
        assert self._opened is not None
        self._opened.body.close()
        self._opened = self._bucket.get(self._key, offset=self._at, length=self._end - self._at)
        if self._opened.etag != self._etag:
            raise StoreFailed("the object was replaced while it was being read")
