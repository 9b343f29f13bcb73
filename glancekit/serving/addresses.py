# SPDX-License-Identifier: Apache-2.0
"""Where the service listens: taking the address, and telling who can reach it."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glancekit.core.errors import ConfigError

BACKLOG = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and port, or the path of a local socket."""

    host: str = "127.0.0.1"
    port: int = 9292
    unix_socket: str | None = None

    def __str__(self) -> str:
        if self.unix_socket is not None:
            return f"unix:{self.unix_socket}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only processes of this machine can reach it."""
        if self.unix_socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def require_local(address: Address) -> None:
    """Refuse an address that others reach, for a service that believes everybody.

    :raises ConfigError: when others reach it.
    """
    if not address.is_local:
        raise ConfigError(
            f"The auth driver lets everybody in as the administrator, so the service does not "
            f"listen on {address}: install and name an auth plugin in [auth] driver, listen on "
            f"127.0.0.1, or accept the danger with --unsafe-allow-unauthenticated-access"
        )


@contextmanager
def listen(address: Address) -> Iterator[socket.socket]:
    """Give a listening socket; a local socket's file is removed at the end.

    :raises ConfigError: when the address is taken or does not exist here.
    """
    try:
        sock = _local(address.unix_socket) if address.unix_socket else _tcp(address)
    except OSError as error:
        raise ConfigError(_explain(address, error)) from error
    owner = os.getpid()
    try:
        yield sock
    finally:
        sock.close()
        # Forked workers leave through here as well, and must not take the name away.
        if address.unix_socket and os.getpid() == owner:
            os.unlink(address.unix_socket)


def _tcp(address: Address) -> socket.socket:
    family, _, _, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.create_server(target[:2], family=family, backlog=BACKLOG)
    # The kernel tells of a connection when its first bytes are there, which mostly are all of its
    # request: one wake-up less, and silent clients are kept by the kernel for the first seconds.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    return sock


def _local(path: str) -> socket.socket:
    if os.path.exists(path):
        _remove_if_dead(path)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(path)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _remove_if_dead(path: str) -> None:
    # A killed service leaves its socket's file behind; one that answers, or is no socket, stays.
    if not stat.S_ISSOCK(os.stat(path).st_mode):
        raise OSError(errno.EADDRINUSE, "there is a file of that name")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise OSError(errno.EADDRINUSE, "another process listens there")


def _explain(address: Address, error: OSError) -> str:
    remedies = {
        errno.EADDRINUSE: "it is in use; stop what listens there, or choose another with --port",
        errno.EACCES: "permission denied; ports below 1024 need privileges",
        errno.EADDRNOTAVAIL: "this machine does not have that address; check --host",
    }
    reason = remedies.get(error.errno or 0, error.strerror or str(error))
    return f"Cannot listen on {address}: {reason}"
