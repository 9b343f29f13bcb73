# SPDX-License-Identifier: Apache-2.0
"""A file on its way out of a datastore; a connection that breaks is made again where it was."""

from __future__ import annotations

import logging

from glancekit.plugin import CHUNK_SIZE, ByteStream, StoreFailed, StoreUnavailable
from glancekit_vmware_store.failures import translated
from glancekit_vmware_store.folder import Folder, Opened
from glancekit_vmware_store.places import Place

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often it is tried again without a single byte in between."""


class Download(ByteStream):
    """The bytes of a file from ``offset`` on."""

    def __init__(
        self, folder: Folder, place: Place, *, offset: int = 0, length: int | None = None
    ) -> None:
        self._folder = folder
        self._place = place
        self._opened: Opened | None = folder.get(place, offset, length)
        self._first = self._opened
        self._at = offset
        self._end = offset + self._opened.length
        self._failures = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next, from another connection where the last one broke."""
        if self._opened is None or self._at == self._end:
            return b""
        if size < 0:
            return b"".join(self)
        asked = min(size, CHUNK_SIZE, self._end - self._at)
        while True:
            try:
                return self._read(asked)
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures > ATTEMPTS:
                    raise
                name, at = self._place.name, self._at
                log.warning("reading %s goes on at byte %d after: %s", name, at, error)
                self._reopen()

    def close(self) -> None:
        """Let go of the connection; what was not read is not fetched."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _read(self, size: int) -> bytes:
        assert self._opened is not None
        with translated("reading"):
            chunk = self._opened.response.read(size)
        if not chunk and size:
            raise StoreUnavailable(f"the file ended {self._end - self._at} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk

    def _reopen(self) -> None:
        assert self._opened is not None
        self._opened.close()
        self._opened = self._folder.get(self._place, self._at, self._end - self._at)
        found, first = self._opened, self._first
        if (found.total, found.version) != (first.total, first.version):
            raise StoreFailed("the file was replaced while it was being read")
