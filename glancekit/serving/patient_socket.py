# SPDX-License-Identifier: Apache-2.0
"""A socket whose time-out means "nothing moved for so long", never "it took so long in all"."""

from __future__ import annotations

import socket
from typing import Any, Self


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
        """Send from a file, and count."""
        try:
            return super().sendfile(file, offset, count)
        finally:
            # The file's position is where sending ended, also when it was cut short.
            self.from_files += file.tell() - offset
