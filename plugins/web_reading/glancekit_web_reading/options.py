# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about reading from web servers, by upstream's names where possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from glancekit.plugin import BoolOpt, ConfigError, DictOpt, FloatOpt, IntOpt, StrOpt
from glancekit_web_reading.settings import Settings

OPTIONS: Sequence[Any] = (
    StrOpt(
        "https_ca_certificates_file",
        help="File with the certificates (PEM) of the authorities that sign the web servers'. "
        "Default: those that the system trusts.",
    ),
    BoolOpt(
        "https_insecure",
        default=False,
        help="Believe every web server without a look at its certificate. Upstream's default is "
        "true.",
    ),
    DictOpt(
        "http_proxy_information",
        default={},
        secret=True,
        help="Proxies to go through, for each scheme: 'http:10.0.0.1:3128,https:10.0.0.1:3128'. "
        "An address may begin with user:password@.",
    ),
    FloatOpt(
        "http_connect_timeout",
        default=10.0,
        min=0.1,
        help="Seconds that a web server has to take a connection, on each of its addresses.",
    ),
    FloatOpt(
        "http_idle_timeout",
        default=60.0,
        min=0.1,
        help="Seconds in which nothing comes, after which a connection counts as broken.",
    ),
    IntOpt(
        "http_read_retries",
        default=4,
        min=0,
        help="How often in a row a read that broke off is taken up again. Counted anew once it "
        "has got a megabyte further.",
    ),
    IntOpt(
        "http_max_redirects",
        default=5,
        min=0,
        help="How many redirects are followed one after the other.",
    ),
)


def settings_of(options: Any) -> Settings:
    """Read the options.

    :raises ConfigError: when a proxy's address is none.
    """
    return Settings(
        ca_file=options.https_ca_certificates_file or None,
        insecure=options.https_insecure,
        proxies={
            scheme.lower(): _proxy(address)
            for scheme, address in options.http_proxy_information.items()
        },
        connect_timeout=options.http_connect_timeout,
        idle_timeout=options.http_idle_timeout,
        retries=options.http_read_retries,
        redirects=options.http_max_redirects,
    )


def _proxy(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url)
        is_one = bool(parts.hostname and parts.port) and parts.scheme in ("http", "https")
    except ValueError:
        is_one = False
    if not is_one:
        raise ConfigError(
            "http_proxy_information: an entry is no address of a proxy; write "
            "'http:10.0.0.1:3128,https:10.0.0.1:3128'",
            option="http_proxy_information",
        )
    return url
