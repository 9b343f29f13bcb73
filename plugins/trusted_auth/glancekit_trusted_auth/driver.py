# SPDX-License-Identifier: Apache-2.0
"""Believes the identity headers of an authenticating proxy, whose task it is to check them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, ClassVar, Protocol

from glancekit.plugin import (
    AuthDriver,
    ConfigError,
    Credentials,
    Identity,
    ListOpt,
    Unauthenticated,
)

log = logging.getLogger(__name__)

LOCAL = "local"
"""In ``trusted_peers``: whoever can open the local socket, which its permissions decide."""


class Options(Protocol):
    """The values of ``[auth]`` that are read here."""

    trusted_peers: Sequence[str]


class TrustedAuth(AuthDriver):
    """Identity as a proxy states it, from configured peers only."""

    api_level: ClassVar[int] = 1
    answers_at_once: ClassVar[bool] = True
    options: ClassVar[Sequence[Any]] = [
        ListOpt(
            "trusted_peers",
            default=["127.0.0.0/8", "::1", LOCAL],
            help="Addresses and networks whose identity headers are believed; 'local' is a local "
            "socket. Whoever can connect from there can be anybody.",
        )
    ]

    def __init__(self, options: Options, *, name: str) -> None:
        """Keep whom to believe.

        :raises ConfigError: when one is no address.
        """
        peers = [peer.strip() for peer in options.trusted_peers]
        self._believes_local = LOCAL in peers
        self._networks = [_network(peer) for peer in peers if peer != LOCAL]

    def authenticate(self, credentials: Credentials) -> Identity:
        """Return the identity that the headers state.

        :raises Unauthenticated: when they come from somewhere else, or do not confirm one.
        """
        headers = credentials.headers
        if not self._believes(credentials.peer):
            self._tell(credentials)
            raise Unauthenticated
        if headers.get("x-identity-status") != "Confirmed":
            raise Unauthenticated
        return Identity(
            user_id=headers.get("x-user-id") or None,
            project_id=headers.get("x-project-id") or headers.get("x-tenant-id") or None,
            roles=_roles(headers, "x-roles"),
            service_roles=_roles(headers, "x-service-roles"),
        )

    def challenge(self) -> str | None:
        """Return none: asking for credentials is the proxy's part."""
        return None

    def close(self) -> None:
        """There is nothing to let go of."""

    def _believes(self, peer: str) -> bool:
        if not peer:
            return self._believes_local
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        # A service that listens on :: sees IPv4 peers as ::ffff:a.b.c.d.
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    @staticmethod
    def _tell(credentials: Credentials) -> None:
        if "x-identity-status" in credentials.headers:
            log.warning(
                "identity headers from %s were not believed; if that is the proxy, add it to "
                "[auth] trusted_peers",
                credentials.peer or "the local socket",
            )


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"[auth] trusted_peers: {error}; write addresses, networks like 10.0.0.0/8, or "
            f"'{LOCAL}', with commas between"
        ) from error


def _roles(headers: Mapping[str, str], name: str) -> frozenset[str]:
    roles = (role.strip().lower() for role in headers.get(name, "").split(","))
    return frozenset(role for role in roles if role)
