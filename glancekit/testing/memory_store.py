# SPDX-License-Identifier: Apache-2.0
"""A store in memory: the shortest driver that keeps every promise. For tests alone."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar

from glancekit.plugin import (
    Blob,
    BlobExists,
    BlobNotFound,
    ByteStream,
    FileStream,
    IntOpt,
    Location,
    StoreDenied,
    StoreDriver,
    StoreFull,
    SupportsDelete,
    SupportsHealth,
    SupportsListing,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
    Usage,
    is_image_id,
)

CAPACITY = IntOpt(
    "memory_store_capacity", min=0, help="Bytes it has room for; no limit when unset."
)


class MemoryStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsUsage,
    SupportsHealth,
    SupportsListing,
):
    """Images as entries of a dictionary. ``blobs`` shows what is in it, ``came`` since when."""

    api_level: ClassVar[int] = 1
    options = (CAPACITY,)
    schemes = ("memory",)

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        self.blobs: dict[str, bytes] = {}
        self.came: dict[str, datetime] = {}
        self._name = name
        self._capacity: int | None = getattr(options, "memory_store_capacity", None)
        self._lock = threading.Lock()

    def open(self, location: Location) -> ByteStream:
        """Open the bytes."""
        return FileStream(io.BytesIO(self._blob(location)))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open some of the bytes."""
        return FileStream(io.BytesIO(self._blob(location)[offset : offset + length]))

    def size(self, location: Location) -> int | None:
        """Return how many there are."""
        return len(self._blob(location))

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Take all bytes, then show them under the image's id."""
        if image_id in self.blobs:
            raise BlobExists
        taken = bytearray()
        for chunk in source:
            self._require_room(len(taken) + len(chunk))
            taken += chunk
        with self._lock:
            if self.blobs.setdefault(image_id, data := bytes(taken)) is not data:
                raise BlobExists
            self.came[image_id] = datetime.now(UTC)
        return Location(url=self._url_of(image_id))

    def discard(self, image_id: str) -> None:
        """Forget the image."""
        self._forget(image_id)

    def delete(self, location: Location) -> None:
        """Forget the bytes."""
        self._blob(location)
        self._forget(_image_id(location))

    def contents(self) -> Iterator[Blob]:
        """Yield what is in it under the names of images."""
        for image_id in list(self.blobs):
            data = self.blobs.get(image_id)
            if data is not None and is_image_id(image_id):
                yield self._listed(image_id, data)

    def blob(self, location: Location) -> Blob:
        """Return what is under a location's name, if it is one of this store."""
        if location.url != self._url_of(_image_id(location)):
            raise StoreDenied(f"the location is not in the store {self._name}")
        return self._listed(_image_id(location), self._blob(location))

    def usage(self) -> Usage:
        """Return the room there is."""
        if self._capacity is None:
            return Usage(total=None, free=None)
        return Usage(total=self._capacity, free=max(0, self._capacity - self._held()))

    def check(self) -> None:
        """Return: memory always answers."""

    def close(self) -> None:
        """Keep everything; a test may want to look."""

    def _forget(self, image_id: str) -> None:
        self.blobs.pop(image_id, None)
        self.came.pop(image_id, None)

    def _listed(self, image_id: str, data: bytes) -> Blob:
        came = self.came.get(image_id) or datetime.now(UTC)
        return Blob(self._url_of(image_id), image_id, len(data), came)

    def _url_of(self, image_id: str) -> str:
        return f"memory://{self._name}/{image_id}"

    def _blob(self, location: Location) -> bytes:
        try:
            return self.blobs[_image_id(location)]
        except KeyError:
            raise BlobNotFound from None

    def _held(self) -> int:
        return sum(len(blob) for blob in list(self.blobs.values()))

    def _require_room(self, wanted: int) -> None:
        if self._capacity is not None and self._held() + wanted > self._capacity:
            raise StoreFull


def _image_id(location: Location) -> str:
    return location.url.rpartition("/")[2]
