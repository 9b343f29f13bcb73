# SPDX-License-Identifier: Apache-2.0
"""URLs by which everybody can read one object for a while (TempURL)."""

from __future__ import annotations

from urllib.parse import quote, unquote

from swiftclient.utils import generate_temp_url

from glancekit.plugin import StoreDenied
from glancekit_swift_store.account import Account
from glancekit_swift_store.options import Settings
from glancekit_swift_store.places import Place

_KEYS = ("X-Account-Meta-Temp-Url-Key", "X-Account-Meta-Temp-Url-Key-2")


def temporary_url(account: Account, place: Place, ttl: int, settings: Settings) -> str:
    """Return a URL for an object, signed with the configured key or the account's own.

    :raises StoreDenied: when there is no key.
    """
    metadata = {} if settings.temp_url_key else account.metadata()
    own = (metadata[name] for name in _KEYS if metadata.get(name))
    key = settings.temp_url_key or next(own, "")
    if not key:
        raise StoreDenied(
            "the account has no key for temporary URLs; set one (X-Account-Meta-Temp-URL-Key), "
            "and swift_store_temp_url_key if the service may not see it"
        )
    # What is signed is the path as the server takes it, without quotes.
    path = f"{unquote(account.path)}/{place.container}/{place.name}"
    signed = generate_temp_url(path, ttl, key, "GET", digest=settings.temp_url_digest)
    return f"{account.origin}{quote(path)}{signed.removeprefix(path)}"
