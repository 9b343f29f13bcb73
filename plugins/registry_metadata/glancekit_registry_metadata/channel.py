# SPDX-License-Identifier: Apache-2.0
"""One connection to the registry, and the pool of them. What is said on it is unit_of_work.py's.

A unit of work has a connection to itself: the registry does its work in that connection's thread,
and rolls it back when the connection ends.
"""

from __future__ import annotations

import http.client
import os
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import ConfigError, MetadataError, MetadataUnavailable, SchemaMismatch
from glancekit_registry_metadata import wire
from glancekit_registry_metadata.seal import Seal, nonce, same

_LOST = (OSError, http.client.HTTPException)
"""What a connection raises when it is no more."""


class ConnectionLost(MetadataUnavailable):
    """No answer came; whether the question arrived is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the registry is and how it is spoken to."""

    url: str
    key: str | None
    tls: ssl.SSLContext | None
    timeout: float

    @property
    def host(self) -> str:
        """The host's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The TCP port."""
        return urlsplit(self.url).port or 9191

    def check(self) -> None:
        """Refuse what is no address.

        :raises ConfigError: saying what it should look like.
        """
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ConfigError(
                f"[metadata] registry_url is '{self.url}'; it should be like http://127.0.0.1:9191"
            )


class Channel:
    """One connection, greeted and ready."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._seal: Seal | None = None
        self._unread = False
        self._http = _connection(address)
        # A connection that was made anew unasked would be another unit of work's.
        self._http.auto_open = 0
        try:
            self._http.connect()
            self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.boot = self._greet()
        except _LOST as error:
            self.close()
            raise _lost(address, error) from error
        except BaseException:
            self.close()
            raise

    def ask(self, message: Any, *, path: str = "/v1/work") -> Any:
        """Send a message and return what is answered.

        :raises ConnectionLost: when no answer comes.
        :raises GlancekitError: what the registry met.
        """
        try:
            self._read_unread()
            self._send(path, message)
            return self._answer()
        except _LOST as error:
            raise _lost(self._address, error) from error

    def tell(self, message: Any, *, path: str = "/v1/work") -> None:
        """Send a message whose answer is waited for before the next one only.

        :raises ConnectionLost: when the connection is no more.
        """
        try:
            self._read_unread()
            self._send(path, message)
            self._unread = True
        except _LOST as error:
            raise _lost(self._address, error) from error

    def close(self) -> None:
        """End the connection, and whatever the registry was doing on it."""
        self._http.close()

    @property
    def is_stale(self) -> bool:
        """The registry has ended it while it was not in use."""
        if self._unread or self._http.sock is None:
            return self._http.sock is None
        try:
            self._http.sock.setblocking(False)
            try:
                return self._http.sock.recv(1) == b""  # nothing is due: any byte is a fault, too
            finally:
                self._http.sock.settimeout(self._address.timeout)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True

    def _greet(self) -> str:
        """Agree on who speaks what; return which life of the registry answers."""
        mine = nonce()
        self._send("/v1/hello", {"nonce": mine})
        hello = self._answer()
        if (hello["protocol"], hello["shape"]) != (wire.PROTOCOL, wire.SHAPE):
            raise SchemaMismatch(
                f"The registry at {self._address.url} is of another release of glancekit "
                f"({hello['release']}), with which this one cannot work; install the same on both"
            )
        if self._address.key is not None:
            self._seal = Seal(self._address.key, mine, hello["nonce"])
        return str(hello["boot"])

    def _send(self, path: str, message: Any) -> None:
        body = wire.dump(message)
        headers = {"Content-Type": "application/json"}
        if self._seal is not None:
            headers["X-Registry-Code"] = self._seal.request(body)
        self._http.request("POST", path, body, headers)

    def _answer(self) -> Any:
        response = self._http.getresponse()
        body = response.read()
        self._require_genuine(response, body)
        if response.status != 200:
            raise self._failure(
                f"the registry at {self._address.url} answered {response.status}: "
                f"{body[:200].decode(errors='replace')}"
            )
        answer = wire.load(body)
        if "error" in answer:
            raise wire.decode_error(answer["error"])
        return answer["value"]

    def _require_genuine(self, response: http.client.HTTPResponse, body: bytes) -> None:
        if self._seal is None:
            return
        if response.status == 401:
            raise self._failure(
                f"the registry at {self._address.url} has another shared key than this service"
            )
        if not same(self._seal.answer(body), response.headers.get("X-Registry-Code", "")):
            raise self._failure(
                f"what answers at {self._address.url} does not know the registry's shared key"
            )

    def _failure(self, detail: str) -> MetadataError:
        """Return an error after which nothing more is said on this connection."""
        self.close()
        return MetadataError(detail)

    def _read_unread(self) -> None:
        if self._unread:
            self._unread = False
            self._answer()


class Pool:
    """The connections of one process. What was inherited by a fork is left to the parent."""

    def __init__(self, address: Address, size: int) -> None:
        self._address = address
        self._size = size
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._idle: queue.LifoQueue[Channel] = queue.LifoQueue()
        self._free = threading.BoundedSemaphore(self._size)

    def take(self, *, fresh: bool = False) -> Channel:
        """Return a connection for one unit of work; a ``fresh`` one was not used before.

        :raises MetadataUnavailable: when all are in use for too long, or none can be made.
        """
        self._be_mine()
        if not self._free.acquire(timeout=self._address.timeout):
            raise MetadataUnavailable(
                f"all {self._size} connections to the registry are in use (max_connections)"
            )
        try:
            return (None if fresh else self._kept()) or Channel(self._address)
        except BaseException:
            self._free.release()
            raise

    def give_back(self, channel: Channel) -> None:
        """Keep a connection for the next unit of work."""
        self._idle.put(channel)
        self._free.release()

    def drop(self, channel: Channel) -> None:
        """End a connection that is no good any more."""
        channel.close()
        self._free.release()

    def close(self) -> None:
        """End those that are not in use."""
        if self._pid != os.getpid():
            return
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _kept(self) -> Channel | None:
        with suppress(queue.Empty):
            while True:
                channel = self._idle.get_nowait()
                if not channel.is_stale:
                    return channel
                channel.close()
        return None

    def _be_mine(self) -> None:
        with self._lock:
            if self._pid != os.getpid():
                self._inherited = self._idle  # never closed here: TLS would tell the other side
                self._begin()


@contextmanager
def one_channel(pool: Pool) -> Iterator[Channel]:
    """Lend a fresh connection for one question."""
    channel = pool.take(fresh=True)
    try:
        yield channel
    finally:
        pool.drop(channel)


def _connection(address: Address) -> http.client.HTTPConnection:
    if address.tls is not None:
        return http.client.HTTPSConnection(
            address.host, address.port, timeout=address.timeout, context=address.tls
        )
    return http.client.HTTPConnection(address.host, address.port, timeout=address.timeout)


def _lost(address: Address, error: Exception) -> ConnectionLost:
    reason = str(error) or type(error).__name__
    return ConnectionLost(f"the registry at {address.url} does not answer: {reason}")
