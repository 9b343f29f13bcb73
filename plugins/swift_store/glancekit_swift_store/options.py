# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about a Swift store. Names are upstream's where possible; who logs in
where is the business of ``references``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glancekit.plugin import BoolOpt, ConfigError, FloatOpt, IntOpt, ListOpt, StrOpt
from glancekit_swift_store.references import (
    KEYSTONE,
    Reference,
    host_of,
    plain_reference,
    read_references,
)

MB = 1000 * 1024
"""Upstream's megabyte, so that segments of the same option have the same size."""

MOST_SEED = 32

OPTIONS: Sequence[Any] = (
    StrOpt(
        "default_swift_reference",
        default="ref1",
        help="The account that new images go to: a section of swift_store_config_file, or the "
        "name that the account of the options below has in locations.",
    ),
    StrOpt(
        "swift_store_config_file",
        default="",
        help="File with a section for each account that locations may refer to: auth_address, "
        "user (project:user), key, auth_version, project_domain_id and so on. A percent sign in "
        "it is written twice, and values may be in quotes, as for upstream.",
    ),
    StrOpt(
        "swift_store_auth_address",
        default="",
        help="Where to log in, without a file: https://keystone.example.org:5000/v3, or the "
        "address of v1 auth.",
    ),
    StrOpt("swift_store_user", default="", help="Who logs in: project:user."),
    StrOpt("swift_store_key", default="", secret=True, help="The user's password."),
    StrOpt(
        "swift_store_auth_version",
        default="3",
        choices=["1", "2", "3"],
        help="3 for Keystone, 1 for a Swift that knows its users itself. 2 is no longer spoken.",
    ),
    StrOpt("swift_store_application_credential_id", default="", help="Log in with this instead."),
    StrOpt(
        "swift_store_application_credential_secret",
        default="",
        secret=True,
        help="The secret of the application credential.",
    ),
    StrOpt("swift_store_project_domain_id", default="", help="Domain of the project, by id."),
    StrOpt("swift_store_project_domain_name", default="", help="Domain of the project, by name."),
    StrOpt("swift_store_user_domain_id", default="", help="Domain of the user, by id."),
    StrOpt("swift_store_user_domain_name", default="", help="Domain of the user, by name."),
    ListOpt(
        "swift_store_former_auth_addresses",
        default=[],
        help="Other addresses that locations with credentials may name. The service goes to these "
        "and to those of its own accounts, and nowhere else.",
    ),
    BoolOpt(
        "swift_store_auth_insecure",
        default=False,
        help="Take any certificate. Only for trials: the password goes to whoever answers.",
    ),
    StrOpt(
        "swift_store_cacert",
        default="",
        help="File of the certificate authorities that certificates are checked with. Empty means "
        "those that come with requests.",
    ),
    StrOpt("swift_store_region", default="", help="The region of the endpoint. Empty: any."),
    StrOpt(
        "swift_store_endpoint",
        default="",
        help="The account's URL, should that of the catalog not be the one to use.",
    ),
    StrOpt(
        "swift_store_endpoint_type",
        default="publicURL",
        choices=["publicURL", "internalURL", "adminURL"],
        help="Which of the catalog's endpoints to use.",
    ),
    StrOpt(
        "swift_store_service_type",
        default="object-store",
        help="The type of the service in the catalog.",
    ),
    StrOpt(
        "swift_store_container",
        default="glance",
        help="The container for the images, or what the names of several begin with.",
    ),
    IntOpt(
        "swift_store_multiple_containers_seed",
        default=0,
        min=0,
        max=MOST_SEED,
        help="Spread images over several containers, by so many characters of their ids: 1 makes "
        "16 of them, 2 makes 256. 0: one container for all.",
    ),
    BoolOpt(
        "swift_store_create_container_on_put",
        default=False,
        help="Make missing containers when an image goes there.",
    ),
    IntOpt(
        "swift_store_large_object_size",
        default=5120,
        min=0,
        help="Images of this many MB (1,024,000 bytes) and more are stored in segments, as are "
        "those whose size is not known.",
    ),
    IntOpt(
        "swift_store_large_object_chunk_size",
        default=200,
        min=1,
        help="Size of a segment in MB (1,024,000 bytes). Segments become larger by themselves "
        "where 1,000 of this size would not do. Not 1: servers slow down the reading of segments "
        "below 1 MiB, as a rule to one in a second.",
    ),
    IntOpt(
        "swift_store_upload_threads",
        default=4,
        min=1,
        max=16,
        help="Segments of one image that may be on their way at the same time.",
    ),
    IntOpt(
        "swift_store_retry_get_count",
        default=3,
        min=0,
        help="How often a read that breaks is taken up again where it was, without a single byte "
        "in between: at once, then after pauses that double. A server that hangs is asked once.",
    ),
    IntOpt(
        "swift_store_expire_soon_interval",
        default=60,
        min=0,
        help="A token that lives for fewer seconds than these is renewed before it is used.",
    ),
    StrOpt(
        "swift_store_temp_url_key",
        default="",
        secret=True,
        help="The key that direct URLs are signed with in the account of default_swift_reference, "
        "or with swift_store_multi_tenant in the service's own. Empty means the one that the "
        "account has set for itself (X-Account-Meta-Temp-URL-Key), as always in other accounts.",
    ),
    StrOpt(
        "swift_store_temp_url_digest",
        default="sha256",
        choices=["sha1", "sha256", "sha512"],
        help="How direct URLs are signed; the server has a list of what it takes.",
    ),
    FloatOpt(
        "swift_store_connect_timeout",
        default=5.0,
        min=0.1,
        help="Seconds to wait for a connection. One that is refused is tried three times.",
    ),
    FloatOpt(
        "swift_store_read_timeout",
        default=60.0,
        min=0.1,
        help="Seconds to wait for the next byte of an answer, or for the next byte to be taken. "
        "There are more where the server is silent until it has looked at, or removed, all "
        "segments of an image.",
    ),
    BoolOpt(
        "swift_store_multi_tenant",
        default=False,
        help="Store images in their owners' own accounts, in a container each, with the token of "
        "whoever brings them. The service's user needs the role that Swift calls "
        "reseller_admin_role, for work that has no caller.",
    ),
    ListOpt(
        "swift_store_admin_tenants",
        default=[],
        help="Ids of projects that may write to the containers of all images, with "
        "swift_store_multi_tenant.",
    ),
    BoolOpt(
        "swift_store_use_trusts",
        default=True,
        help="With swift_store_multi_tenant, let callers entrust the service with uploads in "
        "segments, so that these outlive the token. Needs swift_store_user and swift_store_key.",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options in the form in which the driver uses them; sizes in bytes, times in seconds."""

    references: Mapping[str, Reference]
    default_reference: str
    former_hosts: frozenset[str]
    verify: bool | str
    region: str | None
    endpoint: str | None
    interface: str
    service_type: str
    container: str
    seed: int
    create_container: bool
    whole_below: int
    segment_size: int
    parallel: int
    retries: int
    expires_soon: int
    temp_url_key: str = field(repr=False)
    temp_url_digest: str
    connect_timeout: float
    read_timeout: float
    multi_tenant: bool
    admin_projects: tuple[str, ...]
    use_trusts: bool

    @property
    def may_lack_containers(self) -> bool:
        """A container that is not there means only that no image has come to it yet."""
        return self.create_container or self.seed > 0

    @property
    def place(self) -> str:
        """The container, or the many of which this is the beginning of the name.

        A Keystone's accounts are its projects', whoever of them logs in.
        """
        login = self.references[self.default_reference]
        parts = [login.auth_address.rstrip("/"), *(f"{a}={b}" for a, b in sorted(login.domains))]
        if not self.multi_tenant:
            parts.append(login.project or login.credential_id)
        parts += [self.region or "", self.endpoint or "", self.container, str(self.seed)]
        return f"swift:{'/'.join(filter(None, parts))}"


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when they contradict each other or make no sense.
    """
    if not options.swift_store_container or "/" in options.swift_store_container:
        raise ConfigError("swift_store_container must be a name without slashes")
    references = _references(options)
    if options.default_swift_reference not in references:
        known = ", ".join(references)
        raise ConfigError(
            f"default_swift_reference is '{options.default_swift_reference}'; the sections of "
            f"swift_store_config_file are: {known}"
        )
    if options.swift_store_multi_tenant:
        _require_one_keystone(options, references)
    return Settings(
        references=references,
        default_reference=options.default_swift_reference,
        former_hosts=frozenset(map(host_of, options.swift_store_former_auth_addresses)),
        verify=False if options.swift_store_auth_insecure else options.swift_store_cacert or True,
        region=options.swift_store_region or None,
        endpoint=options.swift_store_endpoint.rstrip("/") or None,
        interface=options.swift_store_endpoint_type.removesuffix("URL"),
        service_type=options.swift_store_service_type,
        container=options.swift_store_container,
        seed=options.swift_store_multiple_containers_seed,
        create_container=options.swift_store_create_container_on_put,
        whole_below=options.swift_store_large_object_size * MB,
        segment_size=options.swift_store_large_object_chunk_size * MB,
        parallel=options.swift_store_upload_threads,
        retries=options.swift_store_retry_get_count,
        expires_soon=options.swift_store_expire_soon_interval,
        temp_url_key=options.swift_store_temp_url_key,
        temp_url_digest=options.swift_store_temp_url_digest,
        connect_timeout=options.swift_store_connect_timeout,
        read_timeout=options.swift_store_read_timeout,
        multi_tenant=options.swift_store_multi_tenant,
        admin_projects=tuple(options.swift_store_admin_tenants),
        use_trusts=options.swift_store_use_trusts,
    )


def _require_one_keystone(options: Any, references: Mapping[str, Reference]) -> None:
    if options.swift_store_config_file:
        raise ConfigError(
            "swift_store_multi_tenant and swift_store_config_file exclude each other: images go "
            "to their owners' accounts; name the service's login by swift_store_auth_address, "
            "swift_store_user and swift_store_key"
        )
    if any(known.auth_version != KEYSTONE for known in references.values()):
        raise ConfigError("swift_store_multi_tenant needs swift_store_auth_version = 3")


def _references(options: Any) -> Mapping[str, Reference]:
    if options.swift_store_config_file:
        return read_references(options.swift_store_config_file)
    return {options.default_swift_reference: plain_reference(options)}
