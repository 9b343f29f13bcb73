# SPDX-License-Identifier: Apache-2.0
"""The eldest goes first, and what is too old goes in any case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from glancekit.plugin import CacheEntry, CachePolicy, FloatOpt, Image, SupportsExpiry


class TimeToLive(CachePolicy, SupportsExpiry):
    """Goes by the time at which an image was cached."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "ttl_cache_policy"
    options: ClassVar[Sequence[Any]] = (
        FloatOpt(
            "age",
            default=168.0,
            min=0.0,
            help="Hours after which an image leaves the cache, wanted or not.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._age = timedelta(hours=options.age)

    def admits(self, image: Image) -> bool:
        """Keep everything."""
        return True

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put the eldest first."""
        return sorted(entries, key=lambda entry: (entry.cached_at, entry.image_id))

    def expired(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Yield what is older than it may become."""
        return (entry for entry in entries if now - entry.cached_at > self._age)
