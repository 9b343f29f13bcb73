# SPDX-License-Identifier: Apache-2.0
"""What nobody has asked for the longest goes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from glancekit.plugin import CacheEntry, CachePolicy, Image


class LeastRecentlyUsed(CachePolicy):
    """Goes by the time of the last hit."""

    api_level: ClassVar[int] = 1

    def __init__(self, options: Any, *, name: str) -> None:
        """Need nothing."""

    def admits(self, image: Image) -> bool:
        """Keep everything."""
        return True

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put first what was asked for the longest time ago."""
        return sorted(entries, key=lambda entry: (entry.last_hit_at, entry.image_id))
