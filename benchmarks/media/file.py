# SPDX-License-Identifier: Apache-2.0
"""File: a folder, beside writing and syncing the same file, and nginx with sendfile."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from benchmarks.media.medium import Medium
from benchmarks.transfers import digest_and_write, download, nginx


class File(Medium):
    """A folder."""

    driver = "file"
    tool = "write + fsync, nginx"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "files"
        self._images = folder / "images"
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._base = self._open.enter_context(nginx(self._folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def options(self) -> dict[str, str]:
        """Return where the service puts its files."""
        return {"filesystem_store_datadir": str(self._images)}

    def put(self, source: Path) -> None:
        """Write and sync it."""
        digest_and_write(source, self._folder / "copy")

    def get(self, to: BinaryIO) -> None:
        """Have nginx send it."""
        download(f"{self._base}/copy", to)

    def remove(self) -> None:
        """Remove it."""
        (self._folder / "copy").unlink()
