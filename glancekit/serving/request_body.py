# SPDX-License-Identifier: Apache-2.0
"""The body of a request as the server gives it to the application. What it means is not its
business."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gunicorn.http.body import Body, LengthReader

if TYPE_CHECKING:
    from gunicorn.http.message import Request

MOST = 1 << 20
"""Bytes that are asked of a connection at a time."""


class StraightBody(Body):  # type: ignore[misc]  # gunicorn has no types
    """A body of known length whose bytes go from the connection to the application as they come.

    gunicorn's own puts them together first, in two buffers, which costs an upload a tenth of its
    time. A read may return fewer bytes than were asked for; none only at the end.
    """

    def read(self, size: int | None = None) -> bytes:
        """Return what is there, or wait for it.

        :raises OSError: when the connection breaks.
        """
        if size is None or size < 0 or self.buf.tell():
            everything: bytes = super().read(size)
            return everything
        wanted = min(size, self.reader.length, MOST)
        data = self._next(wanted) if wanted else b""
        self.reader.length -= len(data)
        return data

    def _next(self, wanted: int) -> bytes:
        unreader = self.reader.unreader
        if held := unreader.take_buffered():
            unreader.unread(held[wanted:])
            first: bytes = held[:wanted]
            return first
        try:
            came: bytes = unreader.sock.recv(wanted)
        except Exception:
            self.failed = True  # where the next request begins is not known any more
            raise
        return came


def straighten(request: Request) -> None:
    """Give a request a straight body, if that has a known length."""
    reader: Any = request.body.reader
    if isinstance(reader, LengthReader):
        request.body = StraightBody(reader)
