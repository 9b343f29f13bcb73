# SPDX-License-Identifier: Apache-2.0
"""Cache policies that break one promise each, and the test that must catch each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar

from glancekit.plugin import API_LEVEL, CacheEntry, CachePolicy, Image, StrOpt, SupportsExpiry


class HonestPolicy(CachePolicy, SupportsExpiry):
    """Has the eldest go first; what the liars are made of."""

    api_level: ClassVar[int] = API_LEVEL
    caught_by: ClassVar[str] = ""

    def admits(self, image: Image) -> bool:
        """Keep everything."""
        return True

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Put the eldest first."""
        return sorted(entries, key=lambda found: (found.cached_at, found.image_id))

    def expired(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Have all go that nobody asked for."""
        return [found for found in entries if not found.hits]


class Mumbles(HonestPolicy):
    """Says nothing for no."""

    caught_by = "test_c01_every_image_gets_a_clear_answer"

    def admits(self, image: Image) -> bool:
        """Say yes, or nothing."""
        return bool(image.size) or None  # type: ignore[return-value]


class SparesSome(HonestPolicy):
    """Never lets the wanted go, so that the cache cannot make room."""

    caught_by = "test_c02_all_that_is_there_is_put_in_an_order"

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Leave out what was asked for."""
        return [found for found in super().eviction_order(entries, now) if not found.hits]


class FailsOnNothing(HonestPolicy):
    """Takes for granted that there is something."""

    caught_by = "test_c03_nothing_goes_from_an_empty_cache"

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Look at the largest first."""
        largest = max(found.size for found in entries)
        return sorted(entries, key=lambda found: (largest - found.size, found.image_id))


class FollowsTheList(HonestPolicy):
    """Leaves entries in the order in which they happen to come."""

    caught_by = "test_c04_the_order_is_the_same_however_the_entries_come"

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Do nothing."""
        return entries


class Remembers(HonestPolicy):
    """Goes by what it was asked before."""

    caught_by = "test_c05_what_was_asked_before_changes_no_answer"

    def __init__(self) -> None:
        self._asked = 0

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Turn the order round each second time."""
        self._asked += 1
        order = list(super().eviction_order(entries, now))
        return order if self._asked % 3 else order[::-1]


class SortsInPlace(HonestPolicy):
    """Changes what it is given."""

    caught_by = "test_c06_what_it_is_given_stays_as_it_is"

    def eviction_order(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Sort the list itself."""
        order: Any = entries
        order.sort(key=lambda found: (found.cached_at, found.image_id))
        return entries


class ExpiresTwice(HonestPolicy):
    """Names an entry once more."""

    caught_by = "test_c07_what_expires_is_of_what_is_there_each_once"

    def expired(self, entries: Sequence[CacheEntry], now: datetime) -> Iterable[CacheEntry]:
        """Name all of them, twice."""
        return [*entries, *entries]


class SaysNothingOfItsOptions(HonestPolicy):
    """Has an option without a section."""

    caught_by = "test_c08_it_says_what_it_is"
    options = (StrOpt("colour", help="Which."),)


POLICY_LIARS: tuple[type[HonestPolicy], ...] = (
    Mumbles,
    SparesSome,
    FailsOnNothing,
    FollowsTheList,
    Remembers,
    SortsInPlace,
    ExpiresTwice,
    SaysNothingOfItsOptions,
)
"""All of them."""
