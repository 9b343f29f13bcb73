# SPDX-License-Identifier: Apache-2.0
"""The cache-policy contract: what is worth keeping, what goes first.

Keeping it is not its business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.model.image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A cached image; ``size`` in bytes."""

    image_id: str
    size: int
    hits: int
    cached_at: datetime
    last_hit_at: datetime


@runtime_checkable
class CachePolicy(Protocol):
    """An opinion about a cache, built as ``Policy(options, name=...)``. It holds no state."""

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()

    @abstractmethod
    def admits(self, image: Image) -> bool:
        """Say whether an image is worth keeping at all."""
        ...

    @abstractmethod
    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Yield entries in the order in which they should go; the cache stops when it has room."""
        ...
