# SPDX-License-Identifier: Apache-2.0
"""What hosts said of their caches, in memory: the part of the memory driver that is about that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from glancekit.core.contracts.caches import CacheRepository
from glancekit.core.errors import MetadataError


class CacheRecords(Protocol):
    """What of all records is needed here: when a host's word for an image runs out."""

    cached: dict[tuple[str, str], datetime]


class MemoryCaches(CacheRepository):
    """Hosts and images in a unit of work's copy of all records."""

    def __init__(self, state: CacheRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def tell(self, node: str, image_ids: Collection[str], until: datetime) -> None:
        """See the contract."""
        self._require_writable()
        for key in [key for key in self._state.cached if key[0] == node]:
            del self._state.cached[key]
        self._state.cached.update({(node, image_id): until for image_id in image_ids})

    def nodes_with(self, image_id: str, *, at: datetime) -> Sequence[str]:
        """See the contract."""
        found = self._state.cached.items()
        return sorted(node for (node, held), until in found if held == image_id and until > at)

    def prune(self, before: datetime) -> int:
        """See the contract."""
        self._require_writable()
        over = [key for key, until in self._state.cached.items() if until < before]
        for key in over:
            del self._state.cached[key]
        return len(over)

    def _require_writable(self) -> None:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
