# SPDX-License-Identifier: Apache-2.0
"""In which of the configured stores a location is. Whether its bytes are there is not looked at.

Since a Glance knows several stores it notes with each location in which one it is; older locations
have a URL alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

_KINDS = {
    "file": "file",
    "filesystem": "file",
    "http": "http",
    "https": "http",
    "rbd": "rbd",
    "swift": "swift",
    "s3": "s3",
    "cinder": "cinder",
    "vsphere": "vmware",
}
"""The driver that serves URLs of a scheme; of ``swift+https`` the first part counts."""


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """A store as far as it tells which locations are its own."""

    id: str
    driver: str
    folders: tuple[str, ...] = ()
    is_default: bool = False


class Places:
    """The configured stores."""

    def __init__(self, stores: Sequence[ConfiguredStore]) -> None:
        self._stores = sorted(stores, key=lambda store: not store.is_default)
        self._ids = {store.id for store in stores}

    def knows(self, store_id: str) -> bool:
        """Say whether a store of this id is configured."""
        return store_id in self._ids

    def store_of(self, url: str, metadata: Mapping[str, Any]) -> str:
        """Return the id of the store that a location is in.

        That is what it says itself; else the store of its kind that has its folder, else the
        default store or the first of that kind, else the name of the kind.
        """
        said = metadata.get("store") or metadata.get("backend")
        if said:
            return str(said)
        kind = _kind_of(url)
        of_kind = [store for store in self._stores if store.driver == kind]
        for store in of_kind:
            if any(_is_within(url, folder) for folder in store.folders):
                return store.id
        return of_kind[0].id if of_kind else kind


def _kind_of(url: str) -> str:
    scheme = url.partition(":")[0].lower().partition("+")[0]
    return _KINDS.get(scheme, scheme)


def _is_within(url: str, folder: str) -> bool:
    return PurePosixPath(urlsplit(url).path).is_relative_to(folder)
