# SPDX-License-Identifier: Apache-2.0
"""A file on its way out of a datastore; a connection that breaks is made again where it was."""

from __future__ import annotations

import logging
import time

from glancekit.plugin import CHUNK_SIZE, ByteStream, StoreFailed, StoreUnavailable
from glancekit_vmware_store.failures import translated
from glancekit_vmware_store.folder import Folder
from glancekit_vmware_store.places import Place

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often it is tried again without a single byte in between."""

_FIRST_PAUSE = 0.1
"""Seconds before it is tried once more after a try in vain, three times as many each time."""


class Download(ByteStream):
    """The bytes of a file from ``offset`` on.

    Who asks for a chunk receives and decrypts it. What the server sends meanwhile waits in the
    kernel: a thread that reads ahead costs more in handing over than it saves.
    """

    def __init__(
        self, folder: Folder, place: Place, *, offset: int = 0, length: int | None = None
    ) -> None:
        self._folder = folder
        self._place = place
        self._opened = self._first = folder.get(place, offset, length)
        self._at = offset
        self._end = offset + self._opened.length
        self._is_broken = False
        self._failures = 0
        self._failure: BaseException | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next; what this raised once it raises again: nothing is skipped."""
        if size < 0:
            return b"".join(self)
        if self._failure is not None:
            raise self._failure
        try:
            return self._receive_or_resume(min(size, CHUNK_SIZE, self._end - self._at))
        except BaseException as error:
            self._failure = error
            raise

    def close(self) -> None:
        """Let go of the connection; what was not read is not fetched."""
        self._end = self._at
        self._opened.close()

    def _receive_or_resume(self, size: int) -> bytes:
        """Receive, by another connection where the last one broke."""
        while size:
            try:
                if self._is_broken:
                    self._reopen()
                return self._receive(size)
            except StoreUnavailable as error:
                self._pause_after(error)
        return b""

    def _pause_after(self, error: StoreUnavailable) -> None:
        """Take note of a broken connection. At once it is tried again only the first time, and not
        at all where the server then does not answer."""
        self._is_broken = True
        self._failures += 1
        is_second = self._failures > 1
        if self._failures > ATTEMPTS or (is_second and isinstance(error.__cause__, TimeoutError)):
            raise error
        if is_second:
            time.sleep(_FIRST_PAUSE * 3 ** (self._failures - 2))
        log.warning("reading %s goes on at byte %d after: %s", self._place.name, self._at, error)

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
        self._opened = self._folder.get(self._place, self._at, self._end - self._at)
        self._is_broken = False
        now, first = self._opened, self._first
        if (now.total, now.version) != (first.total, first.version):
            raise StoreFailed("the file was replaced while it was being read")
