# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about an S3 store. Names are upstream's where possible."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import BoolOpt, ConfigError, FloatOpt, IntOpt, ListOpt, StrOpt

_MIB = 1 << 20
_CHECKSUMS = ["when_supported", "when_required"]

_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}|arn:[^/\s]+")
"""What the SDK takes for a bucket's name, and a location's URL has room for."""

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?|[0-9A-Fa-f:.]+")
_REGION = re.compile(rf"(?![0-9]+$){_LABEL}")
"""The same of the names of hosts and of regions."""

_AWS = re.compile(r"(^|\.)amazonaws\.com(\.cn)?$")
_APART = re.compile(r"[.-](cn|us-gov)-")
"""Whose hosts these are, and which regions have nothing to do with the others."""

OPTIONS: Sequence[Any] = (
    StrOpt(
        "s3_store_host",
        default="",
        help="The server's address: a host, or http(s)://host:port. https when nothing is said. "
        "Empty means AWS, in the region of s3_store_region_name.",
    ),
    StrOpt(
        "s3_store_region_name",
        default="",
        help="The region. Empty means what the environment or ~/.aws/config says. On AWS requests "
        "find their way with a wrong one, signed URLs do not.",
    ),
    StrOpt(
        "s3_store_access_key",
        default="",
        secret=True,
        help="The access key. Empty means the usual chain: environment, ~/.aws, the role of the "
        "machine or container.",
    ),
    StrOpt(
        "s3_store_secret_key",
        default="",
        secret=True,
        help="The secret key that belongs to s3_store_access_key.",
    ),
    StrOpt("s3_store_bucket", default="", help="The bucket for the images. Required."),
    BoolOpt(
        "s3_store_create_bucket_on_put",
        default=False,
        help="Make the bucket by the first upload when there is none.",
    ),
    StrOpt(
        "s3_store_bucket_url_format",
        default="auto",
        choices=["auto", "path", "virtual"],
        help="Where the bucket's name goes in requests: into the path, into the host name "
        "('virtual'), or as botocore finds right ('auto').",
    ),
    IntOpt(
        "s3_store_large_object_size",
        default=10,
        min=0,
        help="Images of this many MiB and more are sent in parts, smaller ones in one request, "
        "for which they are held in memory. What fits into one part is sent in one request.",
    ),
    IntOpt(
        "s3_store_large_object_chunk_size",
        default=10,
        min=5,
        help="Size of a part in MiB. Parts become larger by themselves where 10,000 of this size "
        "would not do.",
    ),
    IntOpt(
        "s3_store_thread_pools",
        default=4,
        min=1,
        help="Parts of one image that are on their way at the same time. An upload holds this "
        "many parts, and the one that is being filled, in memory; a download as many ranges of "
        "8 MiB, and the one that is being read.",
    ),
    StrOpt(
        "s3_store_cacert",
        default="",
        help="File of the certificate authorities that the server's certificate is checked with. "
        "Empty means those that come with botocore.",
    ),
    BoolOpt(
        "s3_store_enable_data_integrity_protection",
        default=False,
        help="Send the MD5 of each part with it, for servers that do not compare the SHA-256 in "
        "its signature.",
    ),
    StrOpt(
        "s3_store_request_checksum_calculation",
        default="when_required",
        choices=_CHECKSUMS,
        help="When botocore adds checksums of its own; not every compatible server takes them. "
        "Over https they are sent in place of the SHA-256 in the signature.",
    ),
    StrOpt(
        "s3_store_response_checksum_validation",
        default="when_required",
        choices=_CHECKSUMS,
        help="When botocore checks downloads against the checksum that the server has kept.",
    ),
    StrOpt(
        "s3_store_server_side_encryption",
        default="",
        choices=["", "AES256", "aws:kms", "aws:kms:dsse"],
        help="How the server is to encrypt the images. Empty leaves it to the bucket.",
    ),
    StrOpt(
        "s3_store_sse_kms_key_id",
        default="",
        help="The key for aws:kms. Empty means the account's own.",
    ),
    ListOpt(
        "s3_store_former_hosts",
        default=[],
        help="Other hosts that locations in this bucket may name, because the server once was "
        "called so. Their objects are read from s3_store_host.",
    ),
    FloatOpt(
        "s3_store_connect_timeout",
        default=5.0,
        min=0.1,
        help="Seconds to wait for a connection, for each of three attempts. One that is made "
        "to send data over has s3_store_read_timeout.",
    ),
    FloatOpt(
        "s3_store_read_timeout",
        default=60.0,
        min=0.1,
        help="Seconds to wait for the next byte in either direction, for each of three attempts. "
        "How long a part takes as a whole does not matter.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in the form in which the driver uses them; sizes in bytes."""

    endpoint: str | None
    region: str | None
    access_key: str | None
    secret_key: str | None
    bucket: str
    create_bucket: bool
    addressing: str
    whole_below: int
    part_size: int
    parallel: int
    cacert: str | None
    send_md5: bool
    request_checksums: str
    response_checksums: str
    encryption: dict[str, str]
    former_hosts: frozenset[str]
    connect_timeout: float
    read_timeout: float

    @property
    def place(self) -> str:
        """The bucket, by a name that none but those who write to it have.

        A bucket's name is the only one in its part of AWS. Other servers may have one of that name
        for each account, which is known by its access key, shown here as a digest.
        """
        if self.is_aws:
            return f"s3:{_partition(self.endpoint, self.region)}/{self.bucket}"
        account = hashlib.sha256((self.access_key or "").encode()).hexdigest()[:8]
        return f"s3:{_server(str(self.endpoint))}/{account}/{self.bucket}"

    @property
    def is_aws(self) -> bool:
        """The server is AWS's own."""
        return self.endpoint is None or _AWS.search(_host(self.endpoint)) is not None


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when they contradict each other or make no sense.
    """
    if not options.s3_store_bucket:
        raise ConfigError("s3_store_bucket is empty: name the bucket for the images")
    if not _BUCKET.fullmatch(options.s3_store_bucket):
        raise ConfigError(
            f"s3_store_bucket = {options.s3_store_bucket} is no bucket's name: that has letters, "
            "digits, dots, hyphens and underscores alone"
        )
    if bool(options.s3_store_access_key) != bool(options.s3_store_secret_key):
        raise ConfigError(
            "s3_store_access_key and s3_store_secret_key belong together: give both, or neither "
            "to have the credentials of the environment"
        )
    return Settings(
        endpoint=_endpoint(options.s3_store_host),
        region=_region(options.s3_store_region_name),
        access_key=options.s3_store_access_key or None,
        secret_key=options.s3_store_secret_key or None,
        bucket=options.s3_store_bucket,
        create_bucket=options.s3_store_create_bucket_on_put,
        addressing=options.s3_store_bucket_url_format,
        whole_below=options.s3_store_large_object_size * _MIB,
        part_size=options.s3_store_large_object_chunk_size * _MIB,
        parallel=options.s3_store_thread_pools,
        cacert=_cacert(options.s3_store_cacert),
        send_md5=options.s3_store_enable_data_integrity_protection,
        request_checksums=options.s3_store_request_checksum_calculation,
        response_checksums=options.s3_store_response_checksum_validation,
        encryption=_encryption(options),
        former_hosts=frozenset(host.strip().lower() for host in options.s3_store_former_hosts),
        connect_timeout=options.s3_store_connect_timeout,
        read_timeout=options.s3_store_read_timeout,
    )


def _endpoint(host: str) -> str | None:
    """Return the URL of the server, None for AWS."""
    if not host:
        return None
    if "@" in host:
        # It would become part of every location.
        raise ConfigError(
            "s3_store_host has credentials in it; they belong into s3_store_access_key and "
            "s3_store_secret_key"
        )
    url = (host if "://" in host else f"https://{host}").rstrip("/")
    if not _is_address(url):
        raise ConfigError("s3_store_host is no address: write s3.example.org or http://host:port")
    return url


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removesuffix(".")


def _server(url: str) -> str:
    """Return the server's one name: an address can be spelt in several ways."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{_host(url)}{port}{parts.path}"


def _partition(endpoint: str | None, region: str | None) -> str:
    """Return the part of AWS, each of which has its own users and names of buckets."""
    found = _APART.search(f".{region}" if endpoint is None else _host(endpoint))
    return "aws" if found is None else f"aws-{found[1]}"


def _is_address(url: str) -> bool:
    parts = urlsplit(url)
    try:
        has_port = parts.port != 0
    except ValueError:
        has_port = False
    is_web = parts.scheme in ("http", "https") and not parts.query
    return is_web and has_port and _HOST.fullmatch(parts.hostname or "") is not None


def _region(name: str) -> str | None:
    if name and not _REGION.fullmatch(name):
        raise ConfigError(f"s3_store_region_name = {name} is no region: write it like eu-west-1")
    return name or None


def _cacert(path: str) -> str | None:
    """Return the file, if it is one; later the server would seem to be at fault."""
    if not path:
        return None
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ConfigError(
            f"s3_store_cacert = {path} cannot be used: {error.strerror or error}; name a file of "
            "certificates in PEM form"
        ) from error
    return path


def _encryption(options: Any) -> dict[str, str]:
    """Return what each upload says of encryption, in the API's words."""
    method, key = options.s3_store_server_side_encryption, options.s3_store_sse_kms_key_id
    if key and not method.startswith("aws:kms"):
        raise ConfigError(
            "s3_store_sse_kms_key_id needs s3_store_server_side_encryption = aws:kms"
        )
    asked = {"ServerSideEncryption": method, "SSEKMSKeyId": key}
    return {name: value for name, value in asked.items() if value}
