# SPDX-License-Identifier: Apache-2.0
"""The options, under upstream's names. Reading them is the business of whoever uses them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keystoneauth1 import loading

from glancekit.plugin import BoolOpt, FloatOpt, IntOpt, ListOpt, StrOpt, URIOpt

OFFERED = ("password", "v3applicationcredential")
"""The auth types whose options can be written in the configuration."""


def _credentials() -> Iterator[Any]:
    """Yield the options of the offered auth types, each name once; they share most of them.

    None is required here, since what one type needs the other does without.
    """
    seen = {"auth_url"}
    for name in OFFERED:
        for option in loading.get_auth_plugin_conf_options(name):
            if option.dest not in seen:
                seen.add(option.dest)
                yield StrOpt(option.dest, secret=option.secret, help=f"{option.help}.")


OPTIONS: tuple[Any, ...] = (
    URIOpt(
        "auth_url",
        schemes=["http", "https"],
        required=True,
        help="Keystone's address, for example http://controller:5000/v3",
    ),
    URIOpt(
        "www_authenticate_uri",
        schemes=["http", "https"],
        help="Keystone's address as callers reach it; a 401 names it. Default: auth_url.",
    ),
    StrOpt(
        "auth_type",
        default="password",
        help="How the service itself authenticates: password, v3applicationcredential, or another "
        "auth type of keystoneauth that needs no options but those below.",
    ),
    *_credentials(),
    StrOpt("region_name", help="Region whose Keystone is asked. Default: any."),
    StrOpt(
        "interface",
        default="internal",
        help="Which of Keystone's own addresses in its catalog is asked: public, internal or "
        "admin.",
    ),
    StrOpt("cafile", help="CA certificates (PEM) that Keystone's certificate is checked with."),
    StrOpt("certfile", help="Client certificate (PEM) to show to Keystone."),
    StrOpt("keyfile", help="Private key (PEM) of the client certificate."),
    BoolOpt("insecure", default=False, help="Do not check Keystone's certificate."),
    FloatOpt(
        "http_connect_timeout",
        default=5.0,
        min=0.1,
        help="Seconds that Keystone has for an answer, before requests are answered with 503.",
    ),
    IntOpt(
        "http_request_max_retries",
        default=1,
        min=0,
        help="How often a request is sent again when the connection breaks.",
    ),
    IntOpt(
        "token_cache_time",
        default=300,
        help="Seconds for which an answer of Keystone's counts, at most until the token expires. "
        "A revoked token is taken for as long. Zero or less: ask each time.",
    ),
    IntOpt(
        "token_cache_size",
        default=10_000,
        min=1,
        help="Most tokens that one process remembers; those used longest ago are forgotten.",
    ),
    ListOpt(
        "service_token_roles",
        default=["service"],
        help="Roles of which a service token needs one, so that the user's token that comes with "
        "it may have expired meanwhile.",
    ),
    BoolOpt(
        "service_token_roles_required",
        default=True,
        help="Refuse requests whose service token has none of these roles.",
    ),
)
