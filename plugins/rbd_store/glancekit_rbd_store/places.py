# SPDX-License-Identifier: Apache-2.0
"""How locations of this store are written: upstream's form, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote

from glancekit.plugin import StoreDenied

SCHEME = "rbd"
SNAPSHOT = "snap"
"""The protected snapshot that an image is read at, and that nova and cinder clone."""


@dataclass(frozen=True, slots=True)
class Place:
    """An image in a pool. Old locations have its name only: no snapshot, the configured pool."""

    fsid: str | None
    pool: str | None
    image: str
    snapshot: str | None

    @property
    def url(self) -> str:
        """The location's URL."""
        parts = (self.fsid, self.pool, self.image, self.snapshot)
        return f"{SCHEME}://" + "/".join(quote(part, safe="") for part in parts if part)


def place_of(url: str) -> Place:
    """Read a location's URL.

    :raises StoreDenied: when it is none of this store's.
    """
    scheme, _, rest = url.partition("://")
    parts = [unquote(part) for part in rest.split("/")]
    if scheme != SCHEME or not url.isascii() or "" in parts or len(parts) not in (1, 4):
        raise StoreDenied("the location's URL is not one of an RBD image")
    if len(parts) == 1:
        return Place(None, None, parts[0], None)
    fsid, pool, image, snapshot = parts
    return Place(fsid, pool, image, snapshot)
