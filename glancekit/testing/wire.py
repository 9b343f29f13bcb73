# SPDX-License-Identifier: Apache-2.0
"""A line between a client and a service that breaks when it is told to, and counts what is sent.

It knows nothing of what goes over it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class Wire:
    """Passes connections on to a port of this host; a context manager that takes it down.

    ``cuts`` says after how many bytes from clients the line breaks, counted from the last break,
    each time the connection on which it happens; after the last of them it holds. ``sent`` is how
    many bytes clients have sent in all, ``broken`` how often it broke, and ``at_cut`` is called at
    each break.
    """

    def __init__(
        self, port: int, cuts: Iterable[int] = (), *, at_cut: Callable[[], None] | None = None
    ) -> None:
        self._to = port
        self._cuts = list(cuts)
        self._at_cut = at_cut
        self._lock = threading.Lock()
        self._since = 0
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="wire", daemon=True)
        self.sent = 0
        self.broken = 0

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for line in list(self._open):
            _close(line)
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return  # taken down
            try:
                service = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                client.close()
                continue
            self._open |= {client, service}
            for way in (self._forth, self._back):
                threading.Thread(target=way, args=(client, service), daemon=True).start()

    def _forth(self, client: socket.socket, service: socket.socket) -> None:
        with suppress(OSError):
            while chunk := client.recv(_CHUNK):
                left = self._count(len(chunk))
                service.sendall(chunk[:left])
                if left is not None:
                    break
        self._end(client, service)

    def _count(self, came: int) -> int | None:
        """Count bytes; return how many of them still go over where the line breaks, else None."""
        with self._lock:
            self.sent += came
            self._since += came
            if not self._cuts or self._since < self._cuts[0]:
                return None
            over = self._since - self._cuts.pop(0)
            self._since = 0
            self.broken += 1
        if self._at_cut is not None:
            self._at_cut()
        return came - over

    def _back(self, client: socket.socket, service: socket.socket) -> None:
        with suppress(OSError):
            while chunk := service.recv(_CHUNK):
                client.sendall(chunk)
        self._end(client, service)

    def _end(self, *lines: socket.socket) -> None:
        for line in lines:
            _close(line)
            self._open.discard(line)


def _close(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
    line.close()
