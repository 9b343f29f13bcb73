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
    """A cached image; ``size`` in bytes, times in UTC.

    ``last_hit_at`` is ``cached_at`` where nobody has asked for it since.
    """

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
    section: ClassVar[str] = ""
    """The section of the configuration that its options are in; it needs none without options."""

    @abstractmethod
    def admits(self, image: Image) -> bool:
        """Say whether an image is worth keeping at all."""
        ...

    @abstractmethod
    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Yield all entries in the order in which they should go.

        The cache stops when it has room.
        """
        ...


@runtime_checkable
class SupportsExpiry(Protocol):
    """The policy has entries go for good reason even where there is room for them."""

    @abstractmethod
    def expired(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Yield those of the entries that are not worth keeping any longer."""
        ...


CACHE_CAPABILITIES: tuple[type, ...] = (SupportsExpiry,)
"""What a policy may be able to do besides."""
