# SPDX-License-Identifier: Apache-2.0
"""An object on its way out of a container; a connection that breaks is made again where it was."""

from __future__ import annotations

import logging

import requests

from glancekit.plugin import (
    BlobExists,
    ByteStream,
    StoreFailed,
    StoreUnavailable,
)
from glancekit_swift_store.failures import translated
from glancekit_swift_store.objects import Container

log = logging.getLogger(__name__)


class Download(ByteStream):
    """The bytes of an object from ``offset`` on. ``retries`` count without a byte in between."""

    def __init__(
        self,
        container: Container,
        name: str,
        *,
        offset: int = 0,
        length: int | None = None,
        retries: int,
    ) -> None:
        self._container = container
        self._name = name
        self._retries = retries
        self._failures = 0
        self._at = offset
        self._end = None if length is None else offset + length
        self._etag = ""
        self._answer: requests.Response | None = self._get()
        self._etag = self._answer.headers.get("Etag", "")
        announced = self._answer.headers.get("Content-Length")
        if announced is not None:  # a dynamic large object of very many segments has none
            self._end = offset + int(announced)

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next, from another connection where the last one broke."""
        if self._answer is None or self._at == self._end:
            return b""
        while True:
            try:
                return self._read(size)
            except StoreUnavailable as error:
                self._failures += 1
                if self._failures > self._retries:
                    raise
                log.warning("reading %s goes on at byte %d after: %s", self._name, self._at, error)
                self._reopen()

    def close(self) -> None:
        """Let go of the connection; what was not read of the answer is not fetched."""
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _read(self, size: int) -> bytes:
        assert self._answer is not None
        if self._end is not None:
            left = self._end - self._at
            size = left if size < 0 else min(size, left)
        with translated("reading"):
            chunk = bytes(self._answer.raw.read(size if size >= 0 else None))
        if not chunk and self._end is not None:
            raise StoreUnavailable(f"the object ended {self._end - self._at} bytes too early")
        self._at += len(chunk)
        self._failures = 0
        return chunk

    def _reopen(self) -> None:
        assert self._answer is not None
        self._answer.close()
        self._answer = self._get()

    def _get(self) -> requests.Response:
        headers = {"If-Match": self._etag} if self._etag else {}
        if self._at or self._end is not None:
            last = "" if self._end is None else self._end - 1
            headers["Range"] = f"bytes={self._at}-{last}"
        answer = self._ask(headers)
        if "Range" in headers and answer.status_code != 206:
            answer.close()
            raise StoreFailed("the server does not give parts of this object")
        return answer

    def _ask(self, headers: dict[str, str]) -> requests.Response:
        try:
            return self._container.get(self._name, headers)
        except BlobExists as error:  # what 412 means where something is written
            raise StoreFailed("the object was replaced while it was being read") from error
