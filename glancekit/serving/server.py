# SPDX-License-Identifier: Apache-2.0
"""The master process: checks that the service can start, listens, and keeps its workers alive."""

from __future__ import annotations

import logging
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from glancekit import __version__
from glancekit.core.errors import ConfigError
from glancekit.serving.addresses import Address, listen
from glancekit.serving.options import default_workers
from glancekit.serving.start_check import check_in_child

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

QUICK = 2
"""Seconds that workers get to end when nobody wants to wait (SIGINT, SIGQUIT)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What ``[server]`` says, checked."""

    address: Address
    workers: int
    threads: int = 256
    reserved_threads: int = 32
    header_timeout: float = 10
    idle_timeout: float = 60
    keep_alive: int = 15
    graceful_timeout: int = 3600
    limit_request_line: int = 8190
    limit_request_fields: int = 100
    limit_request_field_size: int = 16384
    certfile: str | None = None
    keyfile: str | None = None
    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.1", "::1")

    def __post_init__(self) -> None:
        if self.reserved_threads >= self.threads:
            raise ConfigError(
                f"[server] reserved_threads is {self.reserved_threads}, which leaves none of the "
                f"{self.threads} threads for transfers; make it smaller than [server] threads"
            )
        if (self.certfile is None) != (self.keyfile is None):
            raise ConfigError("[server] certfile and keyfile must be given together")
        if self.certfile is not None and self.keyfile is not None:
            _require_key_pair(self.certfile, self.keyfile)

    @classmethod
    def of(cls, options: Any) -> Self:
        """Make them of the values of ``[server]`` (options.py).

        :raises ConfigError: when they do not go together.
        """
        address = Address(
            host=options.host, port=options.port, unix_socket=options.unix_socket or None
        )
        same = {field.name for field in fields(cls)} & vars(options).keys() - {"workers"}
        values = {name: getattr(options, name) for name in same}
        values["forwarded_allow_ips"] = tuple(options.forwarded_allow_ips)
        return cls(address=address, workers=options.workers or default_workers(), **values)


class Service(Protocol):
    """What a worker serves: a WSGI application that can be closed."""

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse, /
    ) -> Iterable[bytes]:
        """Answer one request."""
        ...

    def close(self) -> None:
        """Let go of everything; no request comes afterwards."""
        ...


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """glancekit under gunicorn.

    ``build`` is called once in each worker, after the fork; ``check`` once before, in a child,
    and raises what keeps the service from starting. Meanwhile ``prepare`` makes ready here what
    workers are to share, as imports.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        build: Callable[[], Service],
        check: Callable[[], None],
        prepare: Callable[[], object],
    ) -> None:
        self.server = settings
        self._build = build
        self._check = check
        self._prepare = prepare
        self._service: Service | None = None
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings over in gunicorn's words."""
        for name, value in _gunicorn_settings(self.server).items():
            self.cfg.set(name, value)

    def load(self) -> Service:
        """Build what is served. Called in each worker."""
        self._service = self._build()
        return self._service

    def close_service(self) -> None:
        """Close what this worker built."""
        if self._service is not None:
            self._service.close()
            self._service = None

    def run(self) -> None:
        """Serve until a signal ends it. Does not return.

        :raises ConfigError: when the address cannot be listened on, or the check fails.
        """
        with listen(self.server.address) as sock:
            with check_in_child(self._check):
                self._prepare()
            log.info("glancekit %s listens on %s", __version__, _url(self.server, sock))
            # gunicorn alone owns it from here: while anybody else kept it open, the kernel would
            # go on to accept connections that a stopping service never answers.
            self.cfg.set("bind", f"fd://{sock.detach()}")
            _Master(self).run()


class _Master(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's master; a second signal to stop ends what the first one let go on."""

    _stopping = False

    def stop(self, graceful: bool = True) -> None:
        self._stopping = True
        if not graceful:
            # Workers are told to quit now, but wait for their threads; so long and no longer.
            self.cfg.set("graceful_timeout", QUICK)
        super().stop(graceful)

    def signal(self, sig: int, frame: Any) -> None:
        if self._stopping and sig in _STOPPING:
            self.kill_workers(signal.SIGKILL)
        else:
            super().signal(sig, frame)


_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def _require_key_pair(certfile: str, keyfile: str) -> None:
    """Find out now what would end every connection later."""
    for option, path in (("certfile", certfile), ("keyfile", keyfile)):
        if not os.access(path, os.R_OK):
            raise ConfigError(
                f"[server] {option} = {path}: this user cannot read such a file; mend its name or "
                "its rights"
            )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"[server] certfile = {certfile} and keyfile = {keyfile} cannot be used together: "
            f"{error}; write a certificate and its key without a passphrase, both PEM"
        ) from error


def _gunicorn_settings(settings: ServerSettings) -> dict[str, Any]:
    return {
        "worker_class": "glancekit.serving.worker.GlancekitWorker",
        "logger_class": "glancekit.serving.log.StandardLog",
        # Not a file: it only switches access lines on (log.py).
        "accesslog": "-",
        "proc_name": "glancekit",
        "workers": settings.workers,
        "threads": settings.threads,
        # Far above the threads: connections that wait for their next request cost no thread.
        "worker_connections": max(4096, 4 * settings.threads),
        "keepalive": settings.keep_alive,
        "graceful_timeout": settings.graceful_timeout,
        "limit_request_line": settings.limit_request_line,
        "limit_request_fields": settings.limit_request_fields,
        "limit_request_field_size": settings.limit_request_field_size,
        "certfile": settings.certfile,
        "keyfile": settings.keyfile,
        "forwarded_allow_ips": ",".join(settings.forwarded_allow_ips),
        # A second door into the process, which nobody here uses.
        "control_socket_disable": True,
        "worker_exit": lambda _master, worker: worker.app.close_service(),
    }


def _url(settings: ServerSettings, sock: socket.socket) -> str:
    if settings.address.unix_socket is not None:
        return str(settings.address)
    scheme = "https" if settings.certfile else "http"
    return f"{scheme}://{replace(settings.address, port=sock.getsockname()[1])}"
