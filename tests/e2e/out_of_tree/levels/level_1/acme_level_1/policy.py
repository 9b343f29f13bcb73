# SPDX-License-Identifier: Apache-2.0
"""The cache policy ``old``: what was cached the longest ago goes first, but nothing that is new.
Files, locks and limits are the cache's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from glancekit.plugin import CacheEntry, CachePolicy, Image, IntOpt


class OldPolicy(CachePolicy):
    """Goes by the time at which an image was cached."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "old_cache_policy"
    options = (
        IntOpt("old_spared", default=10, min=0, help="Minutes for which what is new stays."),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._spared = timedelta(minutes=options.old_spared)

    def admits(self, image: Image) -> bool:
        """Keep everything."""
        return True

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put the eldest first, and what is new behind all others."""
        new = now - self._spared
        return sorted(entries, key=lambda one: (one.cached_at > new, one.cached_at, one.image_id))
