# SPDX-License-Identifier: Apache-2.0
"""A socket whose time-out means "nothing moved for so long", never "it took so long in all"."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

PIECE = 1 << 20
"""Bytes that the kernel is given at once. While it sends a piece, what the peer acknowledges
waits: one endless piece is a third slower than many, and much smaller ones cost calls."""


class PatientSocket(socket.socket):
    """A socket whose ``sendall`` goes on for as long as the peer keeps reading.

    The standard one spends its time-out on the whole call: a slow but steady reader of a large
    piece would be dropped. ``from_files`` counts what was sent straight from files, which
    gunicorn does not.
    """

    from_files = 0

    @classmethod
    def take_over(cls, sock: socket.socket) -> Self:
        """Become the owner of another socket object's connection."""
        timeout = sock.gettimeout()
        taken = cls(sock.family, sock.type, sock.proto, fileno=sock.detach())
        taken.settimeout(timeout)
        return taken

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send everything; each step may take the whole time-out."""
        left = memoryview(data).cast("B")
        while left:
            left = left[self.send(left, flags) :]

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send from a regular file, and count; each step may take the whole time-out.

        As with the standard one, the file stands behind what was sent, also when this raises.

        :param count: how many bytes; a file that ends before ends the sending.
        :raises TimeoutError: nothing moved for that long.
        """
        number = file.fileno()
        left = os.fstat(number).st_size - offset if count is None else count
        begun = offset
        try:
            with self._corked():
                while left > 0 and (sent := self._send_piece(number, offset, min(left, PIECE))):
                    offset += sent
                    left -= sent
                    self.from_files += sent
        finally:
            if hasattr(file, "seek"):
                file.seek(offset)
        return offset - begun

    def _send_piece(self, number: int, offset: int, count: int) -> int:
        while True:
            try:
                return os.sendfile(self.fileno(), number, offset, count)
            except BlockingIOError:
                self._wait_until_writable()

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self, select.POLLOUT)
        timeout = self.gettimeout()
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise TimeoutError("timed out")

    @contextmanager
    def _corked(self) -> Iterator[None]:
        """Let packets be full ones, whatever the pieces' ends."""
        is_tcp = self.family in (socket.AF_INET, socket.AF_INET6)
        if is_tcp:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        try:
            yield
        finally:
            if is_tcp:
                self.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
