# SPDX-License-Identifier: Apache-2.0
"""What was asked for least often goes first, but not before it had a chance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from glancekit.plugin import CacheEntry, CachePolicy, FloatOpt, Image


class LeastFrequentlyUsed(CachePolicy):
    """Goes by the number of hits."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "lfu_cache_policy"
    options: ClassVar[Sequence[Any]] = (
        FloatOpt(
            "grace",
            default=10.0,
            min=0.0,
            help="Minutes for which an image that was just cached is spared, as nobody can have "
            "asked for it often yet.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._grace = timedelta(minutes=options.grace)

    def admits(self, image: Image) -> bool:
        """Keep everything."""
        return True

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put the least wanted first, and what is new last."""
        return sorted(
            entries,
            key=lambda entry: (
                now - entry.cached_at < self._grace,
                entry.hits,
                entry.last_hit_at,
                entry.image_id,
            ),
        )
