# SPDX-License-Identifier: Apache-2.0
"""URLs by which everybody can read one object for a while (TempURL)."""

from __future__ import annotations

from urllib.parse import quote, unquote

from swiftclient.utils import generate_temp_url

from glancekit.plugin import StoreDenied
from glancekit_swift_store.account import Account
from glancekit_swift_store.places import Place

_KEYS = ("X-Account-Meta-Temp-Url-Key", "X-Account-Meta-Temp-Url-Key-2")


def temporary_url(account: Account, place: Place, ttl: int, *, key: str, digest: str) -> str:
    """Return a URL for an object, signed with a key of its account.

    :param key: empty for the one that the account tells.
    :raises StoreDenied: when there is no key.
    """
    key = key or _key_of(account)
    # What is signed is the path as the server takes it, without quotes.
    path = f"{unquote(account.path)}/{place.container}/{place.name}"
    signed = generate_temp_url(path, ttl, key, "GET", digest=digest)
    return f"{account.origin}{quote(path)}{signed.removeprefix(path)}"


def _key_of(account: Account) -> str:
    metadata = account.metadata()
    key = next((metadata[name] for name in _KEYS if metadata.get(name)), "")
    if not key:
        raise StoreDenied(
            "the account has no key for temporary URLs; set one (X-Account-Meta-Temp-URL-Key), "
            "and swift_store_temp_url_key if the service may not see that of its own account"
        )
    return key
