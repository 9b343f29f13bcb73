# SPDX-License-Identifier: Apache-2.0
"""A file sent to the staging area in parts, where the service announces that it takes them.

After a break it goes on where the service has bytes for good, also in a later run: the file is
known by its place and time, so that nothing else is put behind what came.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import requests

from glancekit.cli.image.calls import path_of
from glancekit.cli.image.endpoint import Endpoint, ask, reason
from glancekit.cli.image.failures import InConflict, NotFound, Unreachable, refusal, unreachable

PART = 64 << 20
"""Bytes of a part: what a break costs at most, and few enough requests."""

TRIES = 8
"""Attempts to go on during which not a byte more became durable. Time for a service to restart."""

LONGEST_PAUSE = 10.0
"""Seconds between two of them, at most."""

_CHUNK = 1 << 17
_OFFSET = "Upload-Offset"

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a service says of staging: whether in parts, and whether imports change the data."""

    parts: bool
    as_is: bool


def offer_of(endpoint: Endpoint) -> Offer:
    """Ask a service what it can do."""
    try:
        told = ask(endpoint, "GET", "/info/import", "tell how images are imported").json()
    except NotFound:
        return Offer(parts=False, as_is=False)
    takes_parts = told.get("stage-parts", {}).get("value") is True
    return Offer(parts=takes_parts, as_is=not told.get("import-steps", {}).get("value", ["?"]))


def stage(
    endpoint: Endpoint,
    image_id: str,
    source: BinaryIO,
    size: int,
    told: Told,
    *,
    part: int = PART,
) -> None:
    """Send a file of at least one byte to the staging area, part by part.

    :raises InConflict: when other data are being staged for the image.
    :raises Unreachable: when the service does not come back; the next run goes on from there.
    :raises Failed: when it does not take them.
    """
    upload = _Upload(endpoint, image_id, source, size, told)
    offset = upload.begun()
    failures = 0
    while offset < size:
        before = offset
        failure: Unreachable | None = None
        try:
            offset = upload.send(offset, min(offset + part, size))
        except Unreachable as error:
            failure = error
            offset = upload.gone_to(before)
        failures = 0 if offset > before else failures + 1
        if failures == TRIES:
            raise failure or Unreachable(f"Image {image_id} does not get beyond byte {offset}.")
        time.sleep(min(0.2 * 2**failures, LONGEST_PAUSE) if failures else 0)


class _Upload:
    """One file on its way to one image."""

    def __init__(
        self, endpoint: Endpoint, image_id: str, source: BinaryIO, size: int, told: Told
    ) -> None:
        self._endpoint = endpoint
        self._image_id = image_id
        self._source = source
        self._size = size
        self._told = told
        self._shown = 0
        self._was_cut = False

    def begun(self) -> int:
        """Return how much an earlier run has sent of this file."""
        found = self._ask()
        if found is None:
            return 0
        offset, size, version = found
        if (size, version) != (self._size, self._version()):
            raise InConflict(
                f"Other data of image {self._image_id} are being staged, {offset} of {size} bytes "
                "are there. Delete the image, or wait until the service gives them up."
            )
        self._show(offset)
        return offset

    def gone_to(self, offset: int) -> int:
        """Return how many bytes are there after a break, as far as there is an answer."""
        self._was_cut = True
        try:
            found = self._ask()
        except Unreachable:
            found = (offset, 0, None)
        offset = 0 if found is None else found[0]
        self._show(offset)
        return offset

    def send(self, first: int, end: int) -> int:
        """Send a part, and return how many bytes are there then."""
        self._source.seek(first)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"bytes {first}-{end - 1}/{self._size}",
            "Upload-Version": self._version(),
        }
        body = _Part(self._source, end - first, self._count)
        path = path_of(self._image_id, "stage")
        try:
            answer = self._endpoint.send("PUT", path, headers=headers, data=body)
        except requests.RequestException as error:
            raise unreachable(self._endpoint.url, reason(error)) from error
        with answer:
            if answer.status_code == 409 and _OFFSET not in answer.headers and self._was_cut:
                # The service has not noticed yet that the connection before is no more.
                raise Unreachable(f"A part of image {self._image_id} is still being received.")
            if answer.status_code >= 300 and not (
                answer.status_code == 409 and _OFFSET in answer.headers
            ):
                raise refusal(
                    answer.status_code, answer.text, f"stage data of image {self._image_id}"
                )
            offset = int(answer.headers[_OFFSET])
        self._show(offset)
        return offset

    def _ask(self) -> tuple[int, int, str | None] | None:
        """Return bytes there, bytes in all and the content's name; None when nothing is."""
        path = path_of(self._image_id, "stage")
        try:
            found = ask(self._endpoint, "GET", path, "tell what is staged").json()
        except NotFound:
            return None
        return int(found["offset"]), int(found["size"]), found["version"]

    def _version(self) -> str:
        """Name the file's content: another one has another place or time."""
        found = os.fstat(self._source.fileno())
        facts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        return "-".join(f"{fact:x}" for fact in facts)

    def _count(self, count: int) -> None:
        self._shown += count
        self._told(count)

    def _show(self, offset: int) -> None:
        """Let the bar stand where the service is."""
        self._count(offset - self._shown)


class _Part:
    """A part of a file as ``requests`` sends it, with its length."""

    def __init__(self, source: BinaryIO, size: int, told: Told) -> None:
        self._source = source
        self._told = told
        self.len = size

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(_CHUNK):
            yield chunk

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(min(_CHUNK if size < 0 else size, self.len))
        self.len -= len(chunk)
        self._told(len(chunk))
        return chunk
