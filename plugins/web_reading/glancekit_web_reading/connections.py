# SPDX-License-Identifier: Apache-2.0
"""Connections to web servers, kept and shared: to the judged addresses alone, or to a proxy.

What an answer means is not its business.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InsecureRequestWarning,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from glancekit.plugin import ConfigError, Destination
from glancekit_web_reading.failures import Broken, Unreachable
from glancekit_web_reading.settings import Settings

log = logging.getLogger(__name__)

Response = urllib3.BaseHTTPResponse

_KEPT_SERVERS = 32
_KEPT_CONNECTIONS = 64
"""Idle connections that are kept to each server; more may be in use."""

_WORTH_READING = 1024
"""Bytes of a body that nobody wants, up to which it is read to keep the connection."""


class Connections:
    """Asks web servers. urllib3 and not what stands upon it: the address is chosen here."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._direct: urllib3.PoolManager | None = None
        self._proxied: dict[str, urllib3.ProxyManager] = {}
        if settings.ca_file:  # what is wrong with it is to be told at the start
            self._trust()

    def is_proxied(self, scheme: str) -> bool:
        """Say whether a proxy connects in our place, by name."""
        return scheme in self._settings.proxies

    def ask(self, method: str, to: Destination, headers: Mapping[str, str]) -> Response:
        """Return an answer, of which the head has come. Redirects are answers, too.

        :raises Unreachable: when none of the addresses takes a connection.
        :raises Broken: when the connection breaks before there is an answer.
        """
        if self.is_proxied(to.scheme):
            proxy = self._proxy(to.scheme)
            return self._twice(to, partial(self._send, proxy, method, to.url, headers))
        errors: list[Unreachable | Broken] = []
        for address in to.addresses:
            pool = self._pool(to, address)
            try:
                return self._twice(to, partial(self._send, pool, method, to.target, headers))
            except (Unreachable, Broken) as error:
                errors.append(error)
        raise errors[0] if errors else Unreachable(f"{to.shown}: the host has no address")

    def close(self) -> None:
        """Close what is idle; what is in use closes with its stream."""
        with self._lock:
            managers = [*([self._direct] if self._direct else []), *self._proxied.values()]
            self._direct, self._proxied = None, {}
        for manager in managers:
            manager.clear()

    # -- where connections come from

    def _pool(self, to: Destination, address: str) -> urllib3.HTTPConnectionPool:
        with self._lock:
            if self._direct is None:
                self._direct = urllib3.PoolManager(
                    num_pools=_KEPT_SERVERS,
                    maxsize=_KEPT_CONNECTIONS,
                    ssl_context=self._trust(),
                    timeout=self._timeout(),
                )
            # The certificate must be the host's, though we connect to its address.
            about = {"server_hostname": to.host} if to.scheme == "https" else None
            return self._direct.connection_from_host(address, to.port, to.scheme, about)

    def _proxy(self, scheme: str) -> urllib3.ProxyManager:
        with self._lock:
            if scheme not in self._proxied:
                url = self._settings.proxies[scheme]
                parts = urlsplit(url)
                headers = None
                if parts.username is not None:
                    who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
                    headers = urllib3.make_headers(proxy_basic_auth=who)
                self._proxied[scheme] = urllib3.ProxyManager(
                    f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
                    maxsize=_KEPT_CONNECTIONS,
                    proxy_headers=headers,
                    ssl_context=self._trust(),
                    timeout=self._timeout(),
                )
            return self._proxied[scheme]

    def _timeout(self) -> urllib3.Timeout:
        return urllib3.Timeout(
            connect=self._settings.connect_timeout, read=self._settings.idle_timeout
        )

    def _trust(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as error:
            raise ConfigError(
                f"https_ca_certificates_file = {self._settings.ca_file} cannot be used: "
                f"{error.strerror or error}; name a file of certificates in PEM form",
                option="https_ca_certificates_file",
            ) from error
        if self._settings.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            # It would come with every request; that there is no check was the operator's wish.
            urllib3.disable_warnings(InsecureRequestWarning)
        return context

    # -- one request

    def _twice(self, to: Destination, send: Callable[[], Response]) -> Response:
        """Ask again when a kept connection turns out to be closed by the other side."""
        with connecting(to):
            try:
                return send()
            except ProtocolError:
                log.debug("%s: asked again after a connection broke", to.shown)
                return send()

    def _send(
        self,
        by: urllib3.HTTPConnectionPool | urllib3.PoolManager,
        method: str,
        target: str,
        headers: Mapping[str, str],
    ) -> Response:
        return by.urlopen(
            method,
            target,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
        )


def let_go(response: Response) -> None:
    """Give up a body; the connection is kept where there is next to nothing left of it."""
    if response.length_remaining is not None and response.length_remaining <= _WORTH_READING:
        response.drain_conn()
    response.close()


@contextmanager
def receiving(to: Destination) -> Iterator[None]:
    """Turn urllib3's errors into ours, in words that hold neither credentials nor query."""
    try:
        yield
    except ReadTimeoutError as error:
        raise Broken(f"{to.shown}: nothing came for too long") from error
    except (HTTPError, OSError) as error:
        raise Broken(f"{to.shown}: the connection broke ({type(error).__name__})") from error


@contextmanager
def connecting(to: Destination) -> Iterator[None]:
    """Do the same where a connection may have to be made first."""
    try:
        with receiving(to):
            yield
    except Broken as broken:
        error = broken.__cause__
        if isinstance(error, NewConnectionError | ConnectTimeoutError | SSLError):
            reason = f"no connection: {_reason(error)}"
            raise Unreachable(f"{to.shown}: {reason}") from error
        if isinstance(error, ProxyError):
            raise Unreachable(f"{to.shown}: the proxy did not let us through") from error
        raise


def _reason(error: HTTPError) -> str:
    found = error.__cause__ or error.__context__ or error
    return str(getattr(found, "verify_message", "") or getattr(found, "strerror", "") or found)
