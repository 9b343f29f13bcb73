# SPDX-License-Identifier: Apache-2.0
"""New files beside the staged one: sparse, bounded, durable. What is in them does not matter."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from glancekit.plugin import CHUNK_SIZE, LimitExceeded, StagedImage, Unavailable

_BLOCK = 64 << 10
"""Zeros are left out in blocks of this size: smaller holes cost more calls than they save."""

_ZEROS = bytes(CHUNK_SIZE)


def beside(staged: StagedImage, ending: str) -> Path:
    """Return the one place where a step puts its file, known again after a crash."""
    return staged.path.with_name(f"{staged.path.name}.{ending}")


@contextmanager
def room() -> Iterator[None]:
    """Say what it means when the staging folder is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("there is no room left where images are staged") from error
        raise


class SparseFile:
    """A file that is written from its beginning to its end, with holes where zeros would be."""

    def __init__(self, path: Path, *, limit: int) -> None:
        self._path = path
        self._limit = limit
        self._size = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("wb", buffering=0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._file:
            if kind is None:
                with room():
                    self._file.truncate(self._size)  # zeros at the end are a hole, too
                    os.fsync(self._file.fileno())
        if kind is not None:
            remove(self._path)

    @property
    def size(self) -> int:
        """How many bytes it has so far."""
        return self._size

    def write(self, chunk: bytes) -> None:
        """Add bytes.

        :raises LimitExceeded: when it would have more than the limit.
        :raises Unavailable: when there is no room for them.
        """
        if self._size + len(chunk) > self._limit:
            raise LimitExceeded(
                limit=self._limit, asked=self._size + len(chunk), what="bytes of image data"
            )
        with room():
            for start, end in _filled(chunk):
                self._put(chunk[start:end], self._size + start)
        self._size += len(chunk)

    def _put(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[written:], offset + written


def remove(path: Path) -> None:
    """Remove a file that may not be there."""
    with suppress(FileNotFoundError):
        path.unlink()


def _filled(chunk: bytes) -> Iterator[tuple[int, int]]:
    """Return the parts of a chunk that are not zeros, neighbours in one."""
    if chunk == _ZEROS[: len(chunk)]:
        return
    begun = None
    for at in range(0, len(chunk), _BLOCK):
        block = chunk[at : at + _BLOCK]
        if block == _ZEROS[: len(block)]:
            if begun is not None:
                yield begun, at
                begun = None
        elif begun is None:
            begun = at
    if begun is not None:
        yield begun, len(chunk)
