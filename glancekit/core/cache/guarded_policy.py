# SPDX-License-Identifier: Apache-2.0
"""A cache policy as the cache holds it: asked in time, and never the reason that a download fails.

It is asked while the cache's lock is held, by all processes of a host: one that hung would have
every download wait. What is worth keeping is the policy's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import ClassVar

from glancekit.core.asking import Asked
from glancekit.core.contracts.cache import CacheEntry, CachePolicy, SupportsExpiry
from glancekit.core.errors import GlancekitError
from glancekit.core.model.image import Image

log = logging.getLogger(__name__)

Answer = Callable[[Sequence[CacheEntry], datetime], Iterable[CacheEntry]]


class GuardedPolicy(CachePolicy, SupportsExpiry):
    """The policy, and how it is asked. What it fails at is in the log, with its name."""

    api_level: ClassVar[int] = 1

    def __init__(self, policy: CachePolicy, asked: Asked) -> None:
        self._policy = policy
        self._asked = asked

    def admits(self, image: Image) -> bool:
        """Say whether the policy finds an image worth keeping; one that fails finds it not."""
        try:
            return self._asked.answer("admits", partial(self._policy.admits, image), kind=bool)
        except GlancekitError as error:
            log.error("image %s is served and not kept: %s", image.id, error)
            return False

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Sequence[CacheEntry]:
        """Return the entries in the order in which they go; none where the policy fails."""
        return self._named("eviction_order", self._policy.eviction_order, entries, now)

    def expired(self, entries: Sequence[CacheEntry], now: datetime) -> Sequence[CacheEntry]:
        """Return what the policy wants gone even where there is room; none where it fails."""
        if not isinstance(self._policy, SupportsExpiry):
            return ()
        return self._named("expired", self._policy.expired, entries, now)

    def _named(
        self, operation: str, answer: Answer, entries: Sequence[CacheEntry], now: datetime
    ) -> Sequence[CacheEntry]:
        def ask() -> list[CacheEntry]:
            named = list(islice(answer(entries, now), len(entries)))
            there = set(entries)
            if strange := [one for one in named if one not in there]:
                raise ValueError(f"it named {strange[0]!r:.80}, which is no entry")
            return list(dict.fromkeys(named))

        try:
            return self._asked.answer(operation, ask)
        except GlancekitError as error:
            log.error("nothing goes from the image cache: %s", error)
            return ()
