# SPDX-License-Identifier: Apache-2.0
"""Which URLs the service may be sent to by somebody else: parsed, resolved, judged, pinned.

Whoever fetches connects to the addresses that were judged and to no others, so that a name cannot
mean another host a moment later, and has each redirect judged anew. Fetching is not its business.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from glancekit.core.errors import ConfigError, Unavailable, UriRefused

FILTER_SECTION = "import_filtering_opts"
"""The section of the configuration that says what is allowed, as upstream names it."""

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Sequence[str]]
"""Takes a host's name and a port; returns its addresses, raises OSError where there are none."""

_PORTS = {"http": 80, "https": 443}

_INSIDE = (
    ip_network("0.0.0.0/8"),  # "this host": Linux connects to loopback
    ip_network("fd00:ec2::/32"),  # metadata and time of a cloud that the service may run in
    ip_network("168.63.129.16/32"),  # likewise
    ip_network("100.100.100.200/32"),  # likewise
)
"""What leads back inside besides loopback and link-local."""

_FOUR_IN_SIX = (
    (ip_network("::/96"), 0),  # compatible
    (ip_network("::ffff:0:0:0/96"), 0),  # translated (SIIT)
    (ip_network("64:ff9b::/96"), 0),  # NAT64
    (ip_network("64:ff9b:1::/48"), 0),  # NAT64 of one's own
    (ip_network("2002::/16"), 80),  # 6to4
)
"""IPv6 networks whose addresses hold an IPv4 one, and how many bits stand behind it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an allowed URL leads. ``addresses`` are what to connect to; none where not resolved.

    ``target`` is path and query. Neither that nor the credentials are for logs and errors;
    ``shown`` is.
    """

    scheme: str
    host: str
    port: int
    addresses: tuple[str, ...]
    target: str = field(repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def authority(self) -> str:
        """Return host and port as they are written in a URL and in a ``Host`` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.scheme) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """Return the URL without credentials before the host. The query may hold others."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def shown(self) -> str:
        """Return what logs and errors may say of it: no credentials, and no query."""
        return f"{self.scheme}://{self.authority}{self.target.partition('?')[0]}"


class UriFilter:
    """What the operator allows. Where a list of what is allowed is given, it alone counts."""

    def __init__(self, options: Any, *, resolve: Resolve | None = None) -> None:
        """Read the options of ``[import_filtering_opts]``.

        :raises ConfigError: when a host among them cannot be one.
        """
        self._schemes = _Lists(options.allowed_schemes, options.disallowed_schemes)
        self._ports = _Lists(options.allowed_ports, options.disallowed_ports)
        self._allowed = _Hosts("allowed_hosts", options.allowed_hosts)
        self._disallowed = _Hosts("disallowed_hosts", options.disallowed_hosts)
        self._private_too: bool = options.allow_private
        self._resolve = resolve or resolved

    def judge(self, url: str, *, is_resolved_elsewhere: bool = False) -> Destination:
        """Return where a URL leads.

        :param is_resolved_elsewhere: a proxy connects by name, so a name that has no address
            here is no reason to refuse, and one that has is judged as ever.
        :raises UriRefused: when it is not allowed, or is no URL.
        :raises Unavailable: when the host has no address now.
        """
        parts = _split(url)
        scheme, host = parts.scheme.lower(), normalised(parts.hostname or "")
        if not self._schemes.allow(scheme):
            raise UriRefused(reason=f"the scheme '{scheme}' is not allowed")
        port = _port_of(parts, scheme)
        if not self._ports.allow(port):
            raise UriRefused(reason=f"port {port} is not allowed")
        return Destination(
            scheme=scheme,
            host=host,
            port=port,
            addresses=self._addresses(host, port, is_resolved_elsewhere),
            target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
        )

    def _addresses(self, host: str, port: int, is_resolved_elsewhere: bool) -> tuple[str, ...]:
        literal = _literal(host)
        is_named = self._allowed.names(host, literal)
        if self._allowed and not is_named:
            raise UriRefused(reason=f"the host '{host}' is not allowed")
        if not is_named and self._disallowed.names(host, literal):
            raise UriRefused(reason=f"the host '{host}' is not allowed")
        if literal is not None:
            found: tuple[str, ...] = (str(literal),)
        else:
            found = self._look_up(host, port, is_resolved_elsewhere)
        if not is_named and not all(self._allows(ip_address(one)) for one in found):
            raise UriRefused(reason=f"the address of the host '{host}' is not allowed")
        return found

    def _look_up(self, host: str, port: int, is_resolved_elsewhere: bool) -> tuple[str, ...]:
        try:
            found = tuple(dict.fromkeys(self._resolve(host, port)))
        except (OSError, UnicodeError) as error:
            if is_resolved_elsewhere:
                return ()
            raise Unavailable(f"the host '{host}' has no address: {error}") from error
        if any("%" in one for one in found):  # link-local, with the link that it is on
            raise UriRefused(reason=f"the address of the host '{host}' is not allowed")
        return found

    def _allows(self, address: Address) -> bool:
        return all(
            self._is_outside(one) and not self._disallowed.has(one) for one in _meanings(address)
        )

    def _is_outside(self, address: Address) -> bool:
        if _is_within(address, _INSIDE) or address.is_unspecified or address.is_multicast:
            return False
        if address.is_loopback or address.is_link_local or _is_reserved(address):
            return False
        return self._private_too or address.is_global


def normalised(host: str) -> str:
    """Return a host in the one form in which hosts are compared: ASCII, lower case, no last dot.

    :raises UriRefused: when it is none, or an address in other than its usual form.
    """
    try:
        plain = host.encode("idna").decode("ascii").lower() if not host.isascii() else host.lower()
    except UnicodeError:
        raise UriRefused(reason="its host is no host's name") from None
    plain = plain.removesuffix(".")
    if ":" in plain:
        return str(_usual(plain))
    labels = plain.split(".")
    if not all(labels) or not set(plain) <= _IN_NAMES:
        raise UriRefused(reason="its host is no host's name")
    # Resolvers and browsers take 127.1, 0177.0.0.1, 0x7f.1 and 2130706433 for addresses.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        return str(_usual(plain))
    return plain


_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host, in the order in which the system would try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class _Lists:
    """What is allowed, and what is not where nothing is said to be allowed."""

    allowed: Collection[Any]
    disallowed: Collection[Any]

    def allow(self, value: Any) -> bool:
        return value in self.allowed if self.allowed else value not in self.disallowed


class _Hosts:
    """Names, addresses and networks from an option."""

    def __init__(self, option: str, entries: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        for entry in entries:
            try:
                self._take(entry.strip())
            except (UriRefused, ValueError):
                raise ConfigError(
                    f"[{FILTER_SECTION}] {option}: '{entry}' is no host's name, address or "
                    "network; write for example images.example.org, 192.0.2.7 or 192.0.2.0/24",
                    section=FILTER_SECTION,
                    option=option,
                    value=entry,
                ) from None

    def _take(self, entry: str) -> None:
        if "/" in entry:
            self._networks.append(ip_network(entry))
            return
        host = normalised(entry.removeprefix("[").removesuffix("]"))
        literal = _literal(host)
        if literal is None:
            self._names.add(host)
        else:
            self._networks.append(ip_network(literal))

    def __bool__(self) -> bool:
        return bool(self._names or self._networks)

    def names(self, host: str, literal: Address | None) -> bool:
        """Say whether a host is among them as it is written."""
        return host in self._names or (literal is not None and self.has(literal))

    def has(self, address: Address) -> bool:
        """Say whether an address is among them."""
        return _is_within(address, self._networks)


def _split(url: str) -> SplitResult:
    # What others strip, ignore or take for a slash would make this URL lead elsewhere for them.
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise UriRefused(reason="it has spaces, control characters or backslashes in it")
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    if not parts.scheme or not parts.hostname:
        raise UriRefused(reason="it is no URL of the form scheme://host/path")
    return parts


def _port_of(parts: SplitResult, scheme: str) -> int:
    try:
        port = parts.port
    except ValueError:
        raise UriRefused(reason="its port is no port's number") from None
    if port is None:
        port = _PORTS.get(scheme)
    if not port:
        raise UriRefused(reason="it has no port")
    return port


def _literal(host: str) -> Address | None:
    """Return the address that a normalised host is; None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _usual(host: str) -> Address:
    try:
        if "%" in host:
            raise ValueError(host)
        return ip_address(host)
    except ValueError:
        raise UriRefused(reason="its host is an address in an unusual form") from None


def _meanings(address: Address) -> list[Address]:
    """Return an address, and the IPv4 addresses that whoever routes it may make of it."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    held = [
        IPv4Address(int(address) >> behind & 0xFFFFFFFF)
        for network, behind in _FOUR_IN_SIX
        if address in network
    ]
    return [address, *held, *(address.teredo or ())]


def _is_reserved(address: Address) -> bool:
    # Python calls wide ranges of IPv6 reserved that are merely not given out yet.
    if isinstance(address, IPv4Address):
        return address.is_reserved
    return address.is_site_local


def _is_within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
