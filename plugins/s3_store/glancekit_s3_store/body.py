# SPDX-License-Identifier: Apache-2.0
"""Data on its way to a server, as a file that is read piece by piece. Who sends it is not its
business.

A body that is one piece must be sent within one time-out, however large it is and slow the line;
of a file each piece has the time-out to itself.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager

_PIECE = 1 << 18
"""Bytes that go out at once. The client asks for 16 KiB each time, and needs as long for them."""


class Body(AbstractContextManager["Body"]):
    """As much of a file as the SDK asks for, over data that stays where it is.

    The data keeps its length until the end of the context.
    """

    def __init__(self, data: bytearray) -> None:
        self._data = memoryview(data)
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next: at least a piece, so ``size`` is what is wanted and no limit."""
        end = len(self._data) if size < 0 else self._at + max(size, _PIECE)
        piece = bytes(self._data[self._at : end])
        self._at += len(piece)
        return piece

    def tell(self) -> int:
        """Return how much was read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go on from elsewhere, as from the beginning to be sent again."""
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        self._at = begin + offset
        return self._at

    def __exit__(self, *error: object) -> None:
        """Let go of the data."""
        self._data.release()
