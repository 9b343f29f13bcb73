# SPDX-License-Identifier: Apache-2.0
"""One write of an image's bytes to one store, and what may be taken back when it fails.

What becomes of the records is the business of whoever writes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glancekit.core.errors import BlobExists
from glancekit.core.model.image import Location
from glancekit.core.stores import Store
from glancekit.core.stream import ByteStream

log = logging.getLogger(__name__)


class Attempt:
    """A write that may fail. Only what it may have left is taken back.

    What has the image's name before, or where the name is taken, is another's: that of a service
    that writes to the same place, or the image's own data under a former id of the store.
    """

    def __init__(self, store: Store, image_id: str) -> None:
        self._store = store
        self._image_id = image_id
        self._is_ours = False

    @property
    def store_id(self) -> str:
        """The store's id."""
        return self._store.id

    @property
    def left_nothing(self) -> bool:
        """The store was not asked yet, or has refused because the name is taken."""
        return not self._is_ours

    def write(self, source: ByteStream, size: int | None) -> Location:
        """Write the bytes; see ``Store.write``."""
        with self._asking():
            return self._store.write(self._image_id, source, size)

    def adopt(self, path: Path, size: int) -> Location | None:
        """Take a file over; see ``Store.adopt``."""
        with self._asking():
            return self._store.adopt(path, self._image_id, size)

    def take_back(self) -> None:
        """Remove what it left.

        :raises StoreError: when it cannot be removed now.
        """
        if self._is_ours:
            self._store.discard(self._image_id)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        self._is_ours = True
        try:
            yield
        except BlobExists:
            self._is_ours = False
            log.warning(
                "store %s has data named %s that are not ours", self._store.id, self._image_id
            )
            raise
