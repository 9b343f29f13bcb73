# SPDX-License-Identifier: Apache-2.0
"""The options of both sides, and what is made of them. Connections are not its business."""

from __future__ import annotations

import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from glancekit.plugin import ConfigError, FloatOpt, IntOpt, PortOpt, StrOpt
from glancekit_registry_metadata.seal import check_key

SERVER_SECTION = "registry"

_KEY = (
    StrOpt(
        "shared_key",
        secret=True,
        help="The key that the registry and all who use it share, of 32 characters or more.",
    ),
    StrOpt(
        "shared_key_file",
        help="A file whose first line is the shared key, so that it need not be in the "
        "configuration.",
    ),
)

SERVER_OPTIONS = (
    StrOpt(
        "bind_host",
        default="127.0.0.1",
        help="The address to listen on: this machine's own or one of a private network. Another "
        "is taken only where clients must show a certificate (tls_client_ca).",
    ),
    PortOpt("bind_port", default=9191, help="The TCP port to listen on."),
    *_KEY,
    StrOpt("tls_cert", help="File of the registry's certificate (PEM). With it, TLS is spoken."),
    StrOpt("tls_key", help="File of its key (PEM)."),
    StrOpt(
        "tls_client_ca",
        help="File of the authorities (PEM) of which a client must show a certificate.",
    ),
    IntOpt(
        "max_connections",
        default=256,
        min=1,
        help="Connections at a time; each unit of work has one to itself.",
    ),
    FloatOpt(
        "work_timeout",
        default=30.0,
        min=0.1,
        help="Seconds for which a unit of work waits for its client's next word. After that it is "
        "rolled back.",
    ),
    FloatOpt(
        "idle_timeout",
        default=300.0,
        min=1.0,
        help="Seconds for which a connection without a unit of work is kept open.",
    ),
)

CLIENT_OPTIONS = (
    StrOpt(
        "registry_url",
        default="http://127.0.0.1:9191",
        help="Where the registry is: http:// or https://, a host and a port.",
    ),
    *_KEY,
    StrOpt("tls_ca", help="File of the authorities (PEM) to trust. Default: the system's."),
    StrOpt("tls_cert", help="File of the certificate (PEM) to show to the registry."),
    StrOpt("tls_key", help="File of its key (PEM)."),
    FloatOpt(
        "timeout",
        default=60.0,
        min=0.1,
        help="Seconds for one answer. It should be more than a change may wait for its turn in "
        "the registry's own database.",
    ),
    IntOpt(
        "max_connections",
        default=32,
        min=1,
        help="Connections of one process at a time; a unit of work beyond waits for one.",
    ),
)


def shared_key(options: Any) -> str | None:
    """Return the key, None when there is none.

    :raises ConfigError: when it cannot be read or is too short.
    """
    key: str | None = options.shared_key or None
    if options.shared_key_file:
        if key is not None:
            raise ConfigError("Of shared_key and shared_key_file only one can be set")
        key = _first_line(options.shared_key_file)
    if key is not None:
        check_key(key)
    return key


def _first_line(path: str) -> str:
    try:
        return Path(path).expanduser().read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The registry's key file {path} cannot be read: {error}") from error


def server_tls(options: Any) -> ssl.SSLContext | None:
    """Return how the registry speaks TLS, None when it does not.

    :raises ConfigError: when files are missing or no such files.
    """
    if not options.tls_cert:
        if options.tls_client_ca:
            raise ConfigError("[registry] tls_client_ca needs tls_cert and tls_key")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key or None)
        if options.tls_client_ca:
            context.load_verify_locations(options.tls_client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as error:
        raise ConfigError(f"The registry's TLS files cannot be used: {error}") from error
    return context


def client_tls(options: Any) -> ssl.SSLContext:
    """Return how the registry is spoken to over TLS.

    :raises ConfigError: when files are missing or no such files.
    """
    try:
        context = ssl.create_default_context(cafile=options.tls_ca or None)
        if options.tls_cert:
            context.load_cert_chain(options.tls_cert, options.tls_key or None)
    except OSError as error:
        raise ConfigError(f"The TLS files for the registry cannot be used: {error}") from error
    return context


def check_server(options: Any) -> None:
    """Refuse to open the registry to strangers.

    :raises ConfigError: naming the option that is missing.
    """
    if not options.tls_client_ca and shared_key(options) is None:
        raise ConfigError(
            "The registry needs to know its clients: set [registry] shared_key_file (or "
            "shared_key), or tls_cert, tls_key and tls_client_ca"
        )
    try:
        address = ip_address(options.bind_host)
    except ValueError:
        raise ConfigError(
            f"[registry] bind_host is '{options.bind_host}'; it has to be an address, so that "
            "everybody sees whether it is a private one"
        ) from None
    is_open = address.is_unspecified or not (address.is_private or address.is_loopback)
    if is_open and not options.tls_client_ca:
        raise ConfigError(
            f"[registry] bind_host is {address}, which others than a private network can reach; "
            "that needs clients with certificates (tls_client_ca)"
        )
