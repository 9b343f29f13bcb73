# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way: the one shape in which they cross rooms.

Measuring them is transfer's business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self, runtime_checkable

CHUNK_SIZE = 1 << 20
"""Bytes asked for at a time: enough that a call's cost vanishes, few enough for the cache."""


@runtime_checkable
class ByteStream(Protocol):
    """Bytes that can be read once, in order.

    Two faces, because SDKs want the one or the other: ``read(n)`` and iteration. Both may be used
    on one stream, each byte comes out once. A context manager that closes what is behind it.
    """

    @abstractmethod
    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes (all that are left for a negative number), b"" at the end.

        May return fewer than asked for, never none before the end.

        :raises BodyCutShort: when the source ended before it should have.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever is behind; harmless when called again."""
        ...

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(CHUNK_SIZE):
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class FileStream(ByteStream):
    """Any readable binary file as a stream; ``length`` bytes of it at most."""

    def __init__(self, file: BinaryIO, *, length: int | None = None) -> None:
        self._file = file
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        """Return what the file gives, within the length."""
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
        chunk = self._file.read(size)
        if self._left is not None:
            self._left -= len(chunk)
        return chunk

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class IteratorStream(ByteStream):
    """Chunks that an SDK hands out, as a stream; closing it closes the iterator."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return the rest of the chunk at hand, or of the next one."""
        if size < 0:
            return b"".join(self)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            if len(chunk) <= size:
                if chunk:
                    return chunk
                continue
            self._rest = memoryview(chunk)
        taken, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return taken

    def close(self) -> None:
        """Close the iterator if it can be closed."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
