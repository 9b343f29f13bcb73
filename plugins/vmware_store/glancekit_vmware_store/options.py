# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about a VMware store. Names are upstream's where possible."""

from __future__ import annotations

import ssl
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import (
    BoolOpt,
    ConfigError,
    FloatOpt,
    IntOpt,
    ListOpt,
    MultiStrOpt,
    StrOpt,
)

_HTTPS = 443
_DIGESTS = {40: "sha1", 64: "sha256"}
"""The hash of a thumbprint, by how many digits it has."""

OPTIONS: Sequence[Any] = (
    StrOpt(
        "vmware_server_host",
        default="",
        help="The vCenter's address: a host, or host:port. Required. It becomes part of every "
        "location.",
    ),
    StrOpt("vmware_server_username", default="", help="Who logs in. Required."),
    StrOpt(
        "vmware_server_password",
        default="",
        secret=True,
        help="The password of vmware_server_username. Required.",
    ),
    MultiStrOpt(
        "vmware_datastores",
        default=[],
        help="Where images are kept: <path of the datacenter>:<datastore>[:<weight>], one line "
        "for each. An image goes where the weight (0 when not given) is highest among those "
        "with room for it; of equal weights the one with the most room is taken. Required.",
    ),
    StrOpt(
        "vmware_store_image_dir",
        default="/openstack_glance",
        help="The folder of the images in each datastore; it is made when it is not there.",
    ),
    StrOpt(
        "vmware_ca_file",
        default="",
        help="File of the certificate authorities that the server's certificate is checked with. "
        "Empty means the system's.",
    ),
    StrOpt(
        "vmware_server_thumbprint",
        default="",
        help="The SHA-256 or SHA-1 of the server's certificate, in hexadecimal digits with or "
        "without colons. With it this very certificate is asked for and no authority.",
    ),
    BoolOpt(
        "vmware_insecure",
        default=False,
        help="Do not check the server's certificate at all. Whoever is in between gets the "
        "password.",
    ),
    IntOpt(
        "vmware_api_retry_count",
        default=3,
        min=0,
        help="How often a call is repeated whose connection broke.",
    ),
    FloatOpt(
        "vmware_task_poll_interval",
        default=5.0,
        min=0.1,
        help="Seconds between two looks at a task of the server that takes long; it is looked at "
        "sooner at first.",
    ),
    FloatOpt(
        "vmware_task_timeout",
        default=300.0,
        min=0.1,
        help="Seconds that a task of the server (a removal, a renaming) may take.",
    ),
    FloatOpt(
        "vmware_call_timeout",
        default=10.0,
        min=0.1,
        help="Seconds to wait for a connection, and for the answer to a call.",
    ),
    FloatOpt(
        "vmware_idle_timeout",
        default=60.0,
        min=0.1,
        help="Seconds to wait for a file's next bytes, or until the server takes some.",
    ),
    ListOpt(
        "vmware_former_hosts",
        default=[],
        help="Other hosts that locations may name, because the server once was called so. Their "
        "files are read from vmware_server_host.",
    ),
)


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore, as an operator names it."""

    datacenter: str
    name: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in the form in which the driver uses them."""

    netloc: str
    """The server as locations name it."""
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    datastores: dict[Datastore, int]
    """The weights, in the operator's order."""
    folder: str
    """The images' folder, without slashes around it."""
    trust: ssl.SSLContext
    thumbprint: str
    digest: str
    """What the thumbprint is made with."""
    retries: int
    task_poll: float
    task_timeout: float
    call_timeout: float
    idle_timeout: float
    former_hosts: frozenset[str]


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when they contradict each other or make no sense.
    """
    for name in ("vmware_server_host", "vmware_server_username", "vmware_server_password"):
        if not getattr(options, name):
            raise ConfigError(f"{name} is empty", option=name)
    netloc, host, port = _server(options.vmware_server_host)
    thumbprint = _thumbprint(options.vmware_server_thumbprint)
    return Settings(
        netloc=netloc,
        host=host,
        port=port,
        username=options.vmware_server_username,
        password=options.vmware_server_password,
        datastores=_datastores(options.vmware_datastores),
        folder=_folder(options.vmware_store_image_dir),
        trust=_trust(options, thumbprint),
        thumbprint=thumbprint,
        digest=_DIGESTS.get(len(thumbprint), ""),
        retries=options.vmware_api_retry_count,
        task_poll=options.vmware_task_poll_interval,
        task_timeout=options.vmware_task_timeout,
        call_timeout=options.vmware_call_timeout,
        idle_timeout=options.vmware_idle_timeout,
        former_hosts=frozenset(name.strip().lower() for name in options.vmware_former_hosts),
    )


def _server(given: str) -> tuple[str, str, int]:
    """Return the server as locations name it, its host and its port."""
    netloc = f"[{given}]" if given.count(":") > 1 and "[" not in given else given
    problem = "write vcenter.example.org or vcenter.example.org:8443"
    parts = urlsplit(f"//{netloc}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or "@" in netloc or parts.netloc != netloc:
        raise ConfigError(f"vmware_server_host is no host: {problem}", option="vmware_server_host")
    return netloc, host, port or _HTTPS


def _datastores(lines: Sequence[str]) -> dict[Datastore, int]:
    """Return the weight of each datastore."""
    found: dict[Datastore, int] = {}
    for line in lines:
        datacenter, separator, rest = line.strip().partition(":")
        name, _, weight = rest.partition(":")
        if not (separator and datacenter.strip() and name.strip()) or not _is_weight(weight):
            raise ConfigError(
                f"vmware_datastores = {line}: write <path of the datacenter>:<datastore>, or the "
                "same and :<weight>, a whole number",
                option="vmware_datastores",
            )
        datastore = Datastore(datacenter.strip().strip("/"), name.strip())
        if datastore in found:
            raise ConfigError(
                f"vmware_datastores names {datastore.datacenter}:{datastore.name} twice",
                option="vmware_datastores",
            )
        found[datastore] = int(weight or 0)
    if not found:
        raise ConfigError(
            "vmware_datastores is empty: name at least one <path of the datacenter>:<datastore>",
            option="vmware_datastores",
        )
    return found


def _is_weight(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return not text or (digits.isascii() and digits.isdigit())


def _folder(given: str) -> str:
    folder = given.strip("/")
    if not folder or {"", ".", ".."} & set(folder.split("/")) or set("?#[]") & set(folder):
        raise ConfigError(
            f"vmware_store_image_dir = {given} is no folder to keep images in: write /name",
            option="vmware_store_image_dir",
        )
    return folder


def _thumbprint(given: str) -> str:
    """Return the digits of a thumbprint, in the form in which Python writes them."""
    digits = given.replace(":", "").strip().lower()
    if digits and (len(digits) not in _DIGESTS or not set(digits) <= set(string.hexdigits)):
        raise ConfigError(
            "vmware_server_thumbprint is no SHA-256 or SHA-1: 64 or 40 hexadecimal digits",
            option="vmware_server_thumbprint",
        )
    return digits


def _trust(options: Any, thumbprint: str) -> ssl.SSLContext:
    if thumbprint and options.vmware_insecure:
        raise ConfigError(
            "vmware_insecure and vmware_server_thumbprint contradict each other; leave one out",
            option="vmware_insecure",
        )
    ca_file = options.vmware_ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ConfigError(
            f"vmware_ca_file = {ca_file} cannot be used: {error.strerror or error}; name a file "
            "of certificates in PEM form",
            option="vmware_ca_file",
        ) from error
    if thumbprint or options.vmware_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
