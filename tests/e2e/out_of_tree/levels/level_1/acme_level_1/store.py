# SPDX-License-Identifier: Apache-2.0
"""The store ``old``: each image is a file of one folder. It moves bytes and nothing else:
digests, limits, deadlines and inspection are glancekit's business, the same for all stores.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar

from glancekit.plugin import (
    BlobExists,
    BlobNotFound,
    ByteStream,
    FileStream,
    GlancekitError,
    Location,
    StoreDenied,
    StoreDriver,
    StrOpt,
    SupportsDelete,
    SupportsWrite,
    translating,
)

SCHEME = "old"
ERRORS: Mapping[type[BaseException], type[GlancekitError]] = {
    FileNotFoundError: BlobNotFound,
    FileExistsError: BlobExists,
    PermissionError: StoreDenied,
}


class OldStore(StoreDriver, SupportsWrite, SupportsDelete):
    """Images as files. What it can do is on the line above."""

    api_level: ClassVar[int] = 1
    schemes = (SCHEME,)
    options = (
        StrOpt(
            "old_folder",
            default="$data_dir/$store_id",
            help="Folder of the images; it is made when it is not there.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._folder = Path(options.old_folder)

    def open(self, location: Location) -> ByteStream:
        """Open an image's bytes."""
        with translating(ERRORS):
            return FileStream(self._path(location).open("rb"))

    def size(self, location: Location) -> int | None:
        """Return how many there are."""
        with translating(ERRORS):
            return self._path(location).stat().st_size

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Take all bytes; only when they are durable do they get their name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=self._folder, prefix=f".{image_id}.") as file:
            for chunk in source:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
            with translating(ERRORS):
                os.link(file.name, self._folder / image_id)
        return Location(url=f"{SCHEME}:///{image_id}")

    def discard(self, image_id: str) -> None:
        """Remove what an interrupted write left."""
        for path in [*self._folder.glob(f".{image_id}.*"), self._folder / image_id]:
            path.unlink(missing_ok=True)

    def delete(self, location: Location) -> None:
        """Remove an image's bytes."""
        with translating(ERRORS):
            self._path(location).unlink()

    def close(self) -> None:
        """There is nothing to let go of."""

    def _path(self, location: Location) -> Path:
        name = location.url.removeprefix(f"{SCHEME}:///")
        if not name or "/" in name or name.startswith("."):
            raise StoreDenied("the location is not one of this store")
        return self._folder / name
