# SPDX-License-Identifier: Apache-2.0
"""What takes most room for each time that it was of use goes first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from glancekit.plugin import CacheEntry, CachePolicy, Image, IntOpt


class SizeAware(CachePolicy):
    """Goes by bytes for each hit, and may leave out what is too large or too small."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "size_cache_policy"
    options: ClassVar[Sequence[Any]] = (
        IntOpt("largest", default=0, min=0, help="Largest image to keep, in bytes; 0: any."),
        IntOpt("least", default=0, min=0, help="Smallest image to keep, in bytes."),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self._largest = options.largest
        self._least = options.least

    def admits(self, image: Image) -> bool:
        """Keep what is neither too large nor too small; of what no size is known, nothing."""
        if image.size is None or image.size < self._least:
            return False
        return not self._largest or image.size <= self._largest

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put first what takes most room for each hit."""
        return sorted(
            entries,
            key=lambda entry: (-entry.size / (entry.hits + 1), entry.last_hit_at, entry.image_id),
        )
