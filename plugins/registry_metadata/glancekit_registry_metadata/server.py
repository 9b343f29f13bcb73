# SPDX-License-Identifier: Apache-2.0
"""The registry: units of work for clients, each in the thread of its connection.

Where records live is the business of the driver it is given. The standard library's HTTP server is
used because it has a thread for each connection, which is just what a unit of work needs; it
listens to clients that have the key or a certificate, never to the public.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import ssl
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from importlib.metadata import version
from typing import Any, cast

from glancekit.plugin import GlancekitError, Invalid, MetadataDriver, MetadataError, UnitOfWork
from glancekit_registry_metadata import wire
from glancekit_registry_metadata.options import check_server, server_tls, shared_key
from glancekit_registry_metadata.seal import Seal, nonce, same
from glancekit_registry_metadata.wire import SHAPE

log = logging.getLogger(__name__)

LARGEST = 64 << 20
"""Bytes of a message: an image's record with all it may have is far below."""

REMEMBERED = 10_000
"""Commits of which it is known how they ended."""


class Commits:
    """How the last commits ended, for clients to whom that answer was lost."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ended: OrderedDict[str, bool | None] = OrderedDict()

    def begin(self, key: str) -> None:
        """Know that a commit is under way.

        :raises Invalid: when its client has given it up, or it was done before.
        """
        with self._changed:
            if key in self._ended:
                raise Invalid("this commit was given up, or done, before")
            self._ended[key] = None
            while len(self._ended) > REMEMBERED:
                self._ended.popitem(last=False)

    def end(self, key: str, kept: bool) -> None:
        """Know how it ended."""
        with self._changed:
            self._ended[key] = kept
            self._changed.notify_all()

    def settle(self, key: str, patience: float) -> bool:
        """Return whether a commit was done; one that never came will not be done any more.

        :raises MetadataError: when it is under way and does not end.
        """
        with self._changed:
            if key not in self._ended:
                self._ended[key] = False
            self._changed.wait_for(lambda: self._ended.get(key) is not None, patience)
            kept = self._ended.get(key)
        if kept is None:
            raise MetadataError("the commit has not ended yet")
        return kept


class Registry(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Listens, and gives each connection a thread. ``serve_forever`` until ``shutdown``.

    :raises ConfigError: when strangers could use it.
    :raises OSError: when the address cannot be had.
    """

    # server_close waits for every connection's thread: what is rolled back is so before the end.
    daemon_threads = False
    block_on_close = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, driver: MetadataDriver, options: Any) -> None:
        check_server(options)
        self.driver = driver
        self.key = shared_key(options)
        self.boot = nonce()
        self.commits = Commits()
        self.work_timeout: float = options.work_timeout
        self.idle_timeout: float = options.idle_timeout
        self._tls = server_tls(options)
        self._free = threading.BoundedSemaphore(options.max_connections)
        self._working = 0
        self._calm = threading.Condition()
        self._open: set[socket.socket] = set()
        if ":" in options.bind_host:
            self.address_family = socket.AF_INET6
        super().__init__((options.bind_host, options.bind_port), _Connection)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"{'https' if self._tls else 'http'}://{shown}:{port}"

    def works(self, change: int) -> None:
        """Count units of work, by 1 and by -1."""
        with self._calm:
            self._working += change
            self._calm.notify_all()

    def wait_for_work(self, patience: float) -> bool:
        """Wait until no unit of work is under way; return whether that came about."""
        with self._calm:
            return self._calm.wait_for(lambda: self._working == 0, patience)

    def end_connections(self) -> None:
        """End all connections; what is under way on them is rolled back."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, unless there are as many as may be."""
        if not self._free.acquire(blocking=False):
            log.warning("a connection more than max_connections was refused: %s", client_address)
            self.shutdown_request(request)
            return
        try:
            secured = self._secured(request)
            self._open.add(secured)
            try:
                super().process_request_thread(secured, client_address)
            finally:
                self._open.discard(secured)
        except (OSError, ssl.SSLError) as error:
            log.info("a connection of %s did not come about: %s", client_address, error)
            self.shutdown_request(request)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection; a client that went away is nothing wrong."""
        log.info("the connection of %s ended", client_address, exc_info=True)

    def _secured(self, request: socket.socket) -> socket.socket:
        """Greet in the connection's own thread: a client that is silent keeps nobody waiting."""
        request.settimeout(self.work_timeout)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return request
        return self._tls.wrap_socket(request, server_side=True)


class _Refused(Exception):
    """The request is not served, and the connection ends: a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Connection(BaseHTTPRequestHandler):
    """One client's connection: its greeting, then units of work one after another."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server_version = "glancekit-registry"
    sys_version = ""

    server: Registry

    def setup(self) -> None:
        """Have no unit of work, and no client that is known."""
        super().setup()
        self._work: UnitOfWork | None = None
        self._entered = ExitStack()
        self._seal: Seal | None = None
        self._greeted = False

    def finish(self) -> None:
        """Roll back what was not committed."""
        self._leave()
        with suppress(OSError):
            super().finish()

    def handle_one_request(self) -> None:
        """Wait as long as the state of the connection allows for the next request."""
        patience = self.server.idle_timeout if self._work is None else self.server.work_timeout
        self.connection.settimeout(patience)
        super().handle_one_request()

    def do_GET(self) -> None:
        """Say whether the database answers, to whoever asks: ``GET /healthcheck``."""
        if self.path != "/healthcheck":
            self._reply(404, b'{"error": "not found"}')
            return
        try:
            self.server.driver.check()
        except GlancekitError as error:
            log.warning("the health check failed: %s", error)
            self._reply(503, b'{"ok": false}')
        else:
            self._reply(200, b'{"ok": true}')

    def do_POST(self) -> None:
        """Do what a client asks."""
        try:
            body = self._body()
            answer = wire.dump(self._answer(body))
            code = None if self._seal is None else self._seal.answer(answer)
            if self.path == "/v1/hello":
                self._agree(body, wire.load(answer)["value"])
        except _Refused as refusal:
            log.warning("a request of %s was refused: %s", self.client_address[0], refusal)
            self.close_connection = True
            self._reply(refusal.status, wire.dump({"error": str(refusal)}))
        else:
            self._reply(200, answer, code)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log requests only for those who look for a fault."""
        log.debug(format, *arguments)

    # -- one request

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdecimal()):
            raise _Refused(411, "a message needs a Content-Length")
        if int(length) > LARGEST:
            raise _Refused(413, f"a message has {LARGEST} bytes at most")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refused(400, "the message was cut off")
        return body

    def _answer(self, body: bytes) -> Mapping[str, Any]:
        handlers: Mapping[str, Callable[[Any], Any]] = {
            "/v1/hello": self._hello,
            "/v1/work": self._do_work,
            "/v1/settle": self._settle,
            "/v1/check": self._check,
        }
        handler = handlers.get(self.path)
        if handler is None:
            raise _Refused(404, f"there is nothing at {self.path[:80]}")
        if self.path != "/v1/hello":
            self._require_known(body)
        try:
            return {"value": handler(wire.load(body))}
        except GlancekitError as error:
            return {"error": wire.encode_error(error)}
        except _Refused:
            raise
        except Exception as error:
            return {"error": wire.encode_error(self._unexpected(error))}

    def _unexpected(self, error: Exception) -> MetadataError:
        log.error("a unit of work failed", exc_info=error)
        return MetadataError("the registry met an error that it did not expect; see its log")

    def _require_known(self, body: bytes) -> None:
        if not self._greeted:
            raise _Refused(401, "a connection begins with /v1/hello")
        if self._seal is None:
            return
        if not same(self._seal.request(body), self.headers.get("X-Registry-Code", "")):
            raise _Refused(401, "the code of the message is not made with the shared key")

    def _hello(self, message: Any) -> Any:
        if self._greeted:
            raise _Refused(400, "a connection is greeted once")
        if not isinstance(message.get("nonce"), str):
            raise _Refused(400, "the greeting lacks a nonce")
        return {
            "protocol": wire.PROTOCOL,
            "shape": SHAPE,
            "release": version("glancekit"),
            "boot": self.server.boot,
            "nonce": nonce(),
        }

    def _agree(self, body: bytes, hello: Mapping[str, Any]) -> None:
        self._greeted = True
        if self.server.key is not None:
            self._seal = Seal(self.server.key, wire.load(body)["nonce"], hello["nonce"])

    def _check(self, message: Any) -> None:
        self.server.driver.check()

    def _settle(self, message: Any) -> bool:
        return self.server.commits.settle(str(message["key"]), self.server.work_timeout)

    # -- units of work

    def _do_work(self, message: Any) -> Any:
        if message.get("leave"):
            self._leave()
            return None
        if message.get("begin"):
            self._begin(read_only=message["begin"] == "read")
        if self._work is None:
            raise MetadataError("the unit of work has ended; it took too long")
        result = None
        for name, arguments, named in message["calls"]:
            result = self._method(name)(*arguments, **named)
        if message.get("commit"):
            self._commit(str(message["commit"]))
            self._leave()
            return None
        return result

    def _begin(self, *, read_only: bool) -> None:
        self._leave()
        entered = self.server.driver.unit_of_work(read_only=read_only)
        self._work = self._entered.enter_context(entered)
        self.server.works(1)

    def _method(self, name: str) -> Callable[..., Any]:
        repository, _, method = name.partition(".")
        if method not in wire.REPOSITORIES.get(repository, ()):
            raise Invalid(f"There is no call '{name[:80]}'")
        return cast(Callable[..., Any], getattr(getattr(self._work, repository), method))

    def _commit(self, key: str) -> None:
        assert self._work is not None
        commits = self.server.commits
        commits.begin(key)
        kept = False
        try:
            self._work.commit()
            kept = True
        finally:
            commits.end(key, kept)

    def _leave(self) -> None:
        if self._work is None:
            return
        self._work = None
        self.server.works(-1)
        try:
            self._entered.close()
        except GlancekitError as error:
            log.warning("a unit of work could not be rolled back: %s", error)

    def _reply(self, status: int, body: bytes, code: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code is not None:
            self.send_header("X-Registry-Code", code)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
