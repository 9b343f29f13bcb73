# SPDX-License-Identifier: Apache-2.0
"""Lines between a client and a server, on which things happen that a test asks for.

Starting a server is the business of ``servers``.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HERE = "127.0.0.1"

_CHUNK = 1 << 16


@dataclass(eq=False)
class Line:
    """One connection through a wire, and what a kind of wire wants to remember of it."""

    client: socket.socket
    server: socket.socket
    came_back: int = 0
    """Bytes that the server has sent."""
    went_forth: int = 0
    """Bytes that the client has sent."""
    marks: set[str] = field(default_factory=set)

    def cut(self) -> None:
        """End it on both sides."""
        for one in (self.client, self.server):
            with suppress(OSError):  # ended already
                one.shutdown(socket.SHUT_RDWR)


class Wire:
    """Passes connections on to a port, whole; a context manager that takes it down.

    A kind of wire on which something happens overrides ``forth`` or ``back``.
    """

    def __init__(self, port: int, *, host: str = HERE) -> None:
        self._to = (host, port)
        self._lock = threading.Lock()
        self._lines: set[Line] = set()
        self._listening = socket.create_server((HERE, 0))
        self.port: int = self._listening.getsockname()[1]
        self._accepting = self._accept_on(self._listening)

    @property
    def address(self) -> str:
        """Where clients connect to, as host:port."""
        return f"{HERE}:{self.port}"

    @property
    def url(self) -> str:
        """Where clients of HTTP connect to."""
        return f"http://{self.address}"

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        """Return what goes to the server of what a client sent; None to cut the line."""
        return chunk

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        """Return what goes to the client of what the server sent; None to cut the line."""
        return chunk

    def stop(self) -> None:
        """Cut all lines and take no more, as a server that was killed."""
        self.refuse()
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()

    def refuse(self) -> None:
        """Take no more connections; those that are there go on."""
        with suppress(OSError):  # not listening any more
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()  # it lets go of the port

    def start_again(self) -> None:
        """Take connections at the same address once more."""
        self._listening = socket.create_server((HERE, self.port))
        self._accepting = self._accept_on(self._listening)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _accept_on(self, listening: socket.socket) -> threading.Thread:
        thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
        thread.start()
        return thread

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return  # taken down
            try:
                server = socket.create_connection(self._to)
            except OSError:
                client.close()
                continue
            line = Line(client, server)
            with self._lock:
                self._lines.add(line)
            threading.Thread(target=self._carry, args=(line,), daemon=True).start()

    def _carry(self, line: Line) -> None:
        forth = threading.Thread(target=self._forth, args=(line,), daemon=True)
        forth.start()
        self._back(line)
        # What a client still sends is read before the end, so that it gets the last answer.
        forth.join()
        line.client.close()
        line.server.close()
        with self._lock:
            self._lines.discard(line)

    def _forth(self, line: Line) -> None:
        with suppress(OSError):  # cut
            while chunk := line.client.recv(_CHUNK):
                line.went_forth += len(chunk)
                passed = self.forth(line, chunk)
                if passed is None:
                    break
                line.server.sendall(passed)
        line.cut()

    def _back(self, line: Line) -> None:
        with suppress(OSError):  # cut
            while chunk := line.server.recv(_CHUNK):
                line.came_back += len(chunk)
                passed = self.back(line, chunk)
                if passed is None:
                    break
                line.client.sendall(passed)
        line.cut()


class BreakingWire(Wire):
    """One that breaks after so much was sent, whichever line it was sent on.

    ``cuts`` says after how many bytes from clients, counted from the last break, each time on the
    line on which it happens; after the last of them it holds. ``sent`` is how many bytes clients
    have sent in all, ``broken`` how often it broke, and ``at_cut`` is called at each break.
    """

    def __init__(
        self, port: int, cuts: Iterable[int] = (), *, at_cut: Callable[[], None] | None = None
    ) -> None:
        self._cuts = list(cuts)
        self._at_cut = at_cut
        self._counting = threading.Lock()
        self._since = 0
        self.sent = 0
        self.broken = 0
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base."""
        left = self._count(len(chunk))
        if left is None:
            return chunk
        line.server.sendall(chunk[:left])
        return None

    def _count(self, came: int) -> int | None:
        """Count bytes; return how many of them still go over where the line breaks, else None."""
        with self._counting:
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


class FaultyWire(Wire):
    """One on which something happens as soon as it was asked for, each once.

    ``cut_forth`` and ``cut_back`` cut a line that has carried more bytes than that to the server,
    or to the client. ``lost`` says of bytes from a client whether the answer to them gets lost
    with its line; ``damaged``, whether a bit of the next ones changes. ``happened`` counts.
    """

    def __init__(self, port: int, *, host: str = HERE) -> None:
        self.cut_forth: int | None = None
        self.cut_back: int | None = None
        self.lost: Callable[[bytes], bool] | None = None
        self.damaged: Callable[[bytes], bool] | None = None
        self.happened = 0
        super().__init__(port, host=host)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base."""
        if self.cut_forth is not None and line.went_forth > self.cut_forth:
            self.cut_forth = None
            self.happened += 1
            return None
        if "damage" in line.marks:
            line.marks.remove("damage")
            self.happened += 1
            chunk = bytes([chunk[0] ^ 1]) + chunk[1:]
        elif self.damaged is not None and self.damaged(chunk):
            self.damaged = None
            line.marks.add("damage")
        if self.lost is not None and self.lost(chunk):
            self.lost = None
            line.marks.add("lose")
        return chunk

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        """See the base. That a server of HTTP wants to go on is not its answer yet."""
        if "lose" in line.marks and not chunk.startswith(b"HTTP/1.1 100"):
            self.happened += 1
            return None
        if self.cut_back is not None and line.came_back > self.cut_back:
            self.cut_back = None
            self.happened += 1
            return None
        return chunk
