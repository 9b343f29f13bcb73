# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata contract about image caches: which hosts have which images.

What is in a cache is the host's to know; this is what it told the others.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol


class CacheRepository(Protocol):
    """What each host said last of what is in its cache. What it does not repeat runs out."""

    @abstractmethod
    def tell(self, node: str, image_ids: Collection[str], until: datetime) -> None:
        """Say what a host has, in the place of all that it said before."""
        ...

    @abstractmethod
    def nodes_with(self, image_id: str, *, at: datetime) -> Sequence[str]:
        """Return the hosts whose word that they have an image holds beyond a moment, sorted."""
        ...

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Forget what ran out before this; return how many entries that were."""
        ...
