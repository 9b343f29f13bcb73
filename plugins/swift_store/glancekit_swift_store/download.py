# SPDX-License-Identifier: Apache-2.0
"""An object on its way out of a container; a connection that breaks is made again where it was.

Which object that is, and with whose login it is asked for, is its owner's business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

import requests

from glancekit.plugin import (
    BlobExists,
    ByteStream,
    StoreFailed,
    StoreUnavailable,
)
from glancekit_swift_store.account import PAUSE, has_waited
from glancekit_swift_store.failures import translated

log = logging.getLogger(__name__)

Get = Callable[[Mapping[str, str]], requests.Response]
"""Asks for the object, with these headers."""


class Download(ByteStream):
    """The bytes of an object from ``offset`` on. ``retries`` count without a byte in between; the
    ``name`` is for the log."""

    def __init__(
        self, get: Get, name: str, *, offset: int = 0, length: int | None = None, retries: int
    ) -> None:
        self._get = get
        self._name = name
        self._retries = retries
        self._failures = 0
        self._at = offset
        self._end = None if length is None else offset + length
        self._etag = ""
        self._is_closed = False
        answer = self._open()
        self._answer: requests.Response | None = answer
        self._etag = answer.headers.get("Etag", "")
        announced = answer.headers.get("Content-Length")
        if announced is not None:  # a dynamic large object of very many segments has none
            self._end = offset + int(announced)

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next, from another connection where the last one broke."""
        if self._is_closed or self._at == self._end or size == 0:
            return b""
        while True:
            try:
                if self._answer is None:
                    self._answer = self._open()
                return self._read(self._answer, size)
            except StoreUnavailable as error:
                self._give_up_or_wait(error)

    def close(self) -> None:
        """Let go of the connection; what was not read of the answer is not fetched."""
        self._is_closed = True
        self._let_go()

    def _read(self, answer: requests.Response, size: int) -> bytes:
        if self._end is not None:
            left = self._end - self._at
            size = left if size < 0 else min(size, left)
        with translated("reading"):
            chunk = bytes(answer.raw.read(size if size >= 0 else None))
        if not chunk and self._end is not None:
            raise StoreUnavailable(f"the object ended {self._end - self._at} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk

    def _give_up_or_wait(self, error: StoreUnavailable) -> None:
        """Raise what was one failure too many, or wait until the next attempt.

        The first one comes at once: as a rule it is a line that broke. The later ones leave a
        server that is started again the time that it takes; one that hangs is not asked again.
        """
        was_open = self._answer is not None
        self._let_go()
        self._failures += 1
        if self._failures > self._retries or (not was_open and has_waited(error)):
            raise error
        log.warning("reading %s goes on at byte %d after: %s", self._name, self._at, error)
        if not was_open:
            time.sleep(PAUSE * 2**self._failures)

    def _let_go(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _open(self) -> requests.Response:
        """Ask for what is still to come."""
        headers = {"If-Match": self._etag} if self._etag else {}
        if self._at or self._end is not None:
            last = "" if self._end is None else self._end - 1
            headers["Range"] = f"bytes={self._at}-{last}"
        try:
            answer = self._get(headers)
        except BlobExists as error:  # what 412 means where something is written
            raise StoreFailed("the object was replaced while it was being read") from error
        if "Range" in headers and answer.status_code != 206:
            answer.close()
            raise StoreFailed("the server does not give parts of this object")
        return answer
