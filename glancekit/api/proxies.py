# SPDX-License-Identifier: Apache-2.0
"""What proxies in front say of a request: scheme, host, prefix, client; from trusted peers only.

The peer stays the peer: auth drivers that believe an address must see the connection's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Self

from oslo_config import cfg

from glancekit.core.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CLIENT = "glancekit.client"
"""Where in the environ the client's address is, when a proxy told it."""

X_FORWARDED = "x-forwarded"
FORWARDED = "forwarded"

PROXY_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enable_proxy_headers_parsing",
        default=False,
        help="Believe what a proxy says of scheme, host, path prefix and client. Which peers are "
        "proxies is said in [server] forwarded_allow_ips.",
    ),
    cfg.StrOpt(
        "proxy_headers",
        default=X_FORWARDED,
        choices=[X_FORWARDED, FORWARDED],
        help="Headers that the proxy sets: X-Forwarded-Proto, -Host, -Prefix and -For, or "
        "Forwarded (RFC 7239). The others are not read, since a proxy that does not set them "
        "passes on what the client invents.",
    ),
]

_HOST = re.compile(r"[A-Za-z0-9._-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+/?")
_PAIR = re.compile(r'\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;,"\s]+))\s*')


class Peers:
    """A set of addresses and networks; ``*`` is all. A local socket's peer belongs to it."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read the entries.

        :raises ConfigError: when one is no address.
        """
        entries = [entry.strip() for entry in entries]
        self._all = "*" in entries
        try:
            self._networks = [ip_network(entry, strict=False) for entry in entries if entry != "*"]
        except ValueError as error:
            raise ConfigError(
                f"[server] forwarded_allow_ips: {error}; write addresses, networks like "
                "10.0.0.0/8, or '*', with commas between",
                section="server",
                option="forwarded_allow_ips",
            ) from error

    def __contains__(self, peer: str) -> bool:
        if self._all or not peer:
            return True
        address = parse_address(peer)
        return address is not None and any(address in network for network in self._networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, with or without port or brackets; None when it is none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What is said about proxies."""

    is_on: bool = False
    headers: str = X_FORWARDED
    trusted: tuple[str, ...] = ("127.0.0.1", "::1")

    @classmethod
    def of(cls, options: Any, trusted: Sequence[str]) -> Self:
        """Make them of the values of ``[oslo_middleware]`` and the peers of ``[server]``."""
        return cls(
            is_on=options.enable_proxy_headers_parsing,
            headers=options.proxy_headers,
            trusted=tuple(trusted),
        )


class Proxies:
    """WSGI in front of the application: what trusted proxies say becomes true of the request."""

    def __init__(self, application: WSGIApplication, settings: ProxySettings) -> None:
        self._application = application
        self._trusted = Peers(settings.trusted)
        self._read = _read_forwarded if settings.headers == FORWARDED else _read_x_forwarded

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, told in the client's words."""
        if environ.get("REMOTE_ADDR", "") in self._trusted:
            _apply(environ, self._read(environ, self._trusted))
        return self._application(environ, start_response)


def client_address(environ: Mapping[str, Any]) -> str:
    """Return the address of whoever sent a request, as far as it is known."""
    return str(environ.get(CLIENT) or environ.get("REMOTE_ADDR", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the proxies say; empty where they say nothing."""

    client: str = ""
    proto: str = ""
    host: str = ""
    prefix: str = ""


def _apply(environ: WSGIEnvironment, told: _Told) -> None:
    """Take what makes sense: a proxy often hands on what its own client sent as Host."""
    if told.proto.lower() in ("http", "https"):
        environ["wsgi.url_scheme"] = told.proto.lower()
    if _HOST.fullmatch(told.host):
        environ["HTTP_HOST"] = told.host
    if _PREFIX.fullmatch(told.prefix):
        environ["SCRIPT_NAME"] = told.prefix.rstrip("/")
    address = parse_address(told.client)
    if address is not None:
        environ[CLIENT] = str(address)


def _read_x_forwarded(environ: Mapping[str, Any], trusted: Peers) -> _Told:
    chain = _parts(environ.get("HTTP_X_FORWARDED_FOR", ""))
    hops = _hops(chain, trusted)

    def said(name: str) -> str:
        values = _parts(environ.get(f"HTTP_X_FORWARDED_{name}", ""))
        return values[-min(hops, len(values))] if values else ""

    return _Told(client=said("FOR"), proto=said("PROTO"), host=said("HOST"), prefix=said("PREFIX"))


def _read_forwarded(environ: Mapping[str, Any], trusted: Peers) -> _Told:
    elements = [_element(part) for part in _parts(environ.get("HTTP_FORWARDED", ""))]
    if not elements:
        return _Told()
    hops = _hops([element.get("for", "") for element in elements], trusted)
    element = elements[-hops]
    return _Told(
        client=element.get("for", ""),
        proto=element.get("proto", ""),
        host=element.get("host", ""),
    )


def _hops(chain: Sequence[str], trusted: Peers) -> int:
    """Return how far from the end the entry of the outermost trusted proxy is.

    Each proxy adds at the end who connected to it. What is in front of the first address that is
    not trusted may be invented.
    """
    for hops, sender in enumerate(reversed(chain), start=1):
        if parse_address(sender) is None or sender.strip() not in trusted:
            return hops
    return max(len(chain), 1)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _element(text: str) -> dict[str, str]:
    return {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        for match in map(_PAIR.fullmatch, text.split(";"))
        if match is not None
    }
