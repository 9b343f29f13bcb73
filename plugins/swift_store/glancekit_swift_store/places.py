# SPDX-License-Identifier: Apache-2.0
"""Where an image is: the URLs of locations, and the names of containers. Requests are not its
business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from glancekit.plugin import StoreDenied

SCHEMES = ("swift", "swift+http", "swift+https", "swift+config")

REFERENCE_SCHEME = "swift+config"

_NO_NAMES = frozenset({"", ".", ".."})
"""What HTTP clients take for a folder: ".." would be the account itself."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a location says. ``reference`` names the account, or ``account`` is its URL, or the
    rest tells how to log in to it."""

    container: str
    name: str
    reference: str = ""
    account: str = ""
    auth_address: str = ""
    user: str = ""
    key: str = field(default="", repr=False)


def url_of(reference: str, container: str, name: str) -> str:
    """Return the URL of an object in an account that the configuration names."""
    return f"{REFERENCE_SCHEME}://{reference}/{container}/{name}"


def url_in_account(account: str, container: str, name: str) -> str:
    """Return the URL of an object in an account of which the URL is known."""
    return f"swift+{account}/{container}/{name}"


def place_of_url(url: str) -> Place:
    """Read a location's URL, whichever form it has.

    :raises StoreDenied: when it is none of an object in Swift. The message has nothing of the URL.
    """
    scheme, separator, rest = url.partition("://")
    where, _, name = rest.rpartition("/")
    where, _, container = where.rpartition("/")
    whole = bool(separator and where) and not {container, name} & _NO_NAMES
    if scheme not in SCHEMES or not whole or "://" in rest:
        raise StoreDenied("the location's URL is not one of an object in Swift")
    if scheme == REFERENCE_SCHEME:
        if "/" in where:
            raise StoreDenied("the location's URL is not one of an object in Swift")
        return Place(container, name, reference=where)
    protocol = "http" if scheme == "swift+http" else "https"
    if "@" not in where:
        return Place(container, name, account=f"{protocol}://{where}")
    credentials, _, address = where.rpartition("@")
    # A user's own colon is quoted; not in the oldest locations, which no longer know quotes.
    user, separator, key = credentials.rpartition(":")
    if not separator or not address:
        raise StoreDenied("the location's URL is not one of an object in Swift")
    return Place(
        container,
        name,
        auth_address=f"{protocol}://{address}",
        user=unquote(user),
        key=unquote(key),
    )


def container_of(container: str, seed: int, image_id: str) -> str:
    """Return the container for an image: one for all, or with the beginning of its id.

    Dashes within the first ``seed`` characters are not counted, as upstream does.
    """
    if not seed:
        return container
    length = seed + image_id[:seed].count("-")
    return f"{container}_{image_id[:length]}"
