# SPDX-License-Identifier: Apache-2.0
"""Each policy against the kit, and what it is for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_cache_policies.lfu import LeastFrequentlyUsed
from glancekit_cache_policies.lru import LeastRecentlyUsed
from glancekit_cache_policies.size import SizeAware
from glancekit_cache_policies.ttl import TimeToLive

from glancekit.plugin import CacheEntry, CachePolicy, Image
from glancekit.testing.cache import NOON, CachePolicyConformance, entry


def build(kind: Any, **options: Any) -> Any:
    usual = {option.name: option.default for option in kind.options}
    return kind(SimpleNamespace(**usual | options), name="cache")


def order(policy: CachePolicy, entries: Sequence[CacheEntry]) -> list[str]:
    return [found.image_id for found in policy.eviction_order(entries, NOON)]


def ago(minutes: float) -> Any:
    return NOON - timedelta(minutes=minutes)


class TestLru(CachePolicyConformance):
    @pytest.fixture
    def policy(self) -> LeastRecentlyUsed:
        return build(LeastRecentlyUsed)

    def test_the_longest_unwanted_goes_first(self, policy: LeastRecentlyUsed) -> None:
        entries = [
            entry("wanted now", hits=1, last_hit_at=ago(1)),
            entry("once wanted much", hits=99, last_hit_at=ago(30)),
            entry("never wanted"),
        ]
        assert order(policy, entries) == ["never wanted", "once wanted much", "wanted now"]


class TestLfu(CachePolicyConformance):
    @pytest.fixture
    def policy(self) -> LeastFrequentlyUsed:
        return build(LeastFrequentlyUsed)

    def test_the_least_wanted_goes_first_and_the_new_last(
        self, policy: LeastFrequentlyUsed
    ) -> None:
        entries = [
            entry("new", cached_at=ago(9)),
            entry("often", hits=99, last_hit_at=ago(30)),
            entry("twice", hits=2, last_hit_at=ago(1)),
            entry("twice, before", hits=2, last_hit_at=ago(2)),
        ]
        assert order(policy, entries) == ["twice, before", "twice", "often", "new"]

    def test_without_grace_the_new_has_no_more_rights(self) -> None:
        policy = build(LeastFrequentlyUsed, grace=0.0)
        entries = [entry("often", hits=99), entry("new", cached_at=NOON)]
        assert order(policy, entries) == ["new", "often"]


class TestTtl(CachePolicyConformance):
    @pytest.fixture
    def policy(self) -> TimeToLive:
        return build(TimeToLive, age=2.0)

    def test_the_eldest_goes_first_however_wanted(self, policy: TimeToLive) -> None:
        entries = [
            entry("young", cached_at=ago(1)),
            entry("old", cached_at=ago(90), hits=9, last_hit_at=NOON),
        ]
        assert order(policy, entries) == ["old", "young"]

    def test_only_the_too_old_expire(self, policy: TimeToLive) -> None:
        entries = [entry("too old", cached_at=ago(121)), entry("not yet", cached_at=ago(119))]
        assert [found.image_id for found in policy.expired(entries, NOON)] == ["too old"]


class TestSize(CachePolicyConformance):
    @pytest.fixture
    def policy(self) -> SizeAware:
        return build(SizeAware)

    def test_what_takes_most_room_for_a_hit_goes_first(self, policy: SizeAware) -> None:
        entries = [
            entry("small", size=10),
            entry("large and wanted", size=1000, hits=199),
            entry("large", size=1000, hits=1),
        ]
        assert order(policy, entries) == ["large", "small", "large and wanted"]

    @pytest.mark.parametrize(
        ("size", "admitted"), [(None, False), (9, False), (10, True), (20, True), (21, False)]
    )
    def test_too_large_and_too_small_are_left_out(self, size: int | None, admitted: bool) -> None:
        policy = build(SizeAware, least=10, largest=20)
        assert policy.admits(Image(id="1", owner=None, size=size)) is admitted
