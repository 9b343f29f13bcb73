# SPDX-License-Identifier: Apache-2.0
"""Where connections wait until the header of their request is complete, so that no thread has to.

It only looks (MSG_PEEK); reading and understanding the header is gunicorn's business.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)

HEADER_LIMIT = 32 << 10
"""Bytes within which a header must end; tokens of every kind that Keystone gives out fit in."""

_TICK = 0.5
_EVENTS = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_END = b"\r\n\r\n"


class Connection(Protocol):
    """What the gate needs to know of a connection."""

    sock: socket.socket


@dataclass(frozen=True, slots=True)
class _Waiting:
    connection: Connection
    deadline: float
    ahead: bytes = b""

    def is_decided(self) -> bool:
        """Say whether waiting is of no use: the header is there, never comes, or is too long."""
        try:
            seen = self.connection.sock.recv(HEADER_LIMIT, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return _END in self.ahead
        except OSError:
            return True
        if _END in self.ahead + seen:
            return True
        if len(seen) == HEADER_LIMIT:
            _end(self.connection.sock)
            return True
        return not seen


class HeaderGate:
    """Lets a connection pass to ``release`` when its header is there or can no longer come.

    One that takes too long is shut down first: whoever reads it then finds its end. So every
    connection passes exactly once, whatever its client does.
    """

    def __init__(self, release: Callable[[Connection], None], *, timeout: float) -> None:
        self._release = release
        self._timeout = timeout
        self._epoll = select.epoll()
        self._lock = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._reading: dict[int, _Waiting] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._loop, name="header-gate", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """Drop whoever still waits, and from now on whoever comes without a complete header.

        Safe to call from a signal handler: it takes no lock.
        """
        self._closing = True

    def enter(self, connection: Connection, ahead: bytes = b"") -> None:
        """Let the connection pass now if its header is complete, else when it is.

        :param ahead: what was read of the header already, with the request before.
        """
        entry = _Waiting(connection, time.monotonic() + self._timeout, ahead)
        if entry.is_decided():
            self._release(connection)
            return
        number = connection.sock.fileno()
        with self._lock:
            self._waiting[number] = entry
            # Edge-triggered: a byte that came since the look above is reported at registration.
            self._epoll.register(number, _EVENTS)

    def begin_reading(self, connection: Connection) -> None:
        """Note that a thread reads the header now; it has the same time for it.

        For what a look cannot tell: TLS, whose header is not readable from outside.
        """
        deadline = time.monotonic() + self._timeout
        with self._lock:
            self._reading[id(connection)] = _Waiting(connection, deadline)

    def end_reading(self, connection: Connection) -> None:
        """Note that the thread has the header, or has given up."""
        with self._lock:
            self._reading.pop(id(connection), None)

    def _loop(self) -> None:
        while True:
            for number, _ in self._epoll.poll(_TICK):
                self._look(number)
            self._drop_late()

    def _look(self, number: int) -> None:
        with self._lock:
            waiting = self._waiting.get(number)
        if waiting is not None and waiting.is_decided():
            self._pass(number)

    def _pass(self, number: int) -> None:
        with self._lock:
            waiting = self._waiting.pop(number)
            self._epoll.unregister(number)
        self._release(waiting.connection)

    def _drop_late(self) -> None:
        now = time.monotonic()
        limit = float("inf") if self._closing else now
        with self._lock:
            late = [number for number, entry in self._waiting.items() if entry.deadline <= limit]
            slow = [entry for entry in self._reading.values() if entry.deadline <= now]
        for number in late:
            _end(self._waiting[number].connection.sock)
            self._pass(number)
        for entry in slow:
            log.info("a client did not send its request in time; connection closed")
            _end(entry.connection.sock)


def _end(sock: socket.socket) -> None:
    # Through the base class: on a TLS socket its own shutdown would also drop the session state
    # under the thread that reads it. The peer may be gone already, which is as good.
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def has_header(sock: socket.socket) -> bool:
    """Say whether a whole header can be read without waiting."""
    try:
        return _END in sock.recv(HEADER_LIMIT, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return False
