# SPDX-License-Identifier: Apache-2.0
"""What a cache policy promises, as tests. A vendor inherits them and gives the policy::

    class TestAcmePolicy(CachePolicyConformance):
        @pytest.fixture
        def policy(self):
            return AcmePolicy(options, name="acme")

The numbers are those of ``docs/reference/contracts/cache.rst``. Which of two images a policy
prefers is asked by tests of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glancekit.plugin import (
    API_LEVEL,
    CacheEntry,
    CachePolicy,
    Image,
    ImageStatus,
    SupportsExpiry,
    Visibility,
)
from glancekit.testing.cache_reports import CachePolicyReports

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""The time at which policies are asked in these tests."""


def entry(name: str, **known: Any) -> CacheEntry:
    """Return an entry of 1 MiB, an hour old and never asked for since, but for what is given."""
    cached_at = known.pop("cached_at", NOON - timedelta(hours=1))
    usual = {"size": 1 << 20, "hits": 0, "cached_at": cached_at, "last_hit_at": cached_at}
    return CacheEntry(image_id=name, **usual | known)


ENTRIES: Sequence[CacheEntry] = (
    entry("usual"),
    entry("its twin"),
    entry("wanted", hits=10_000, last_hit_at=NOON),
    entry("large", size=1 << 40, hits=3, last_hit_at=NOON - timedelta(minutes=1)),
    entry("empty", size=0),
    entry("ancient", cached_at=datetime(1970, 1, 1, tzinfo=UTC)),
    entry("new", cached_at=NOON),
    entry("of a clock that is wrong", hits=1, cached_at=NOON + timedelta(days=400)),
)
"""What a cache may hold: the usual, and what is rare."""

IMAGES: Sequence[Image] = (
    Image(id="usual", owner="p", status=ImageStatus.ACTIVE, size=1 << 30, disk_format="qcow2"),
    Image(id="empty", owner=None, status=ImageStatus.ACTIVE, size=0),
    Image(id="large", owner="p", status=ImageStatus.ACTIVE, size=1 << 50),
    Image(id="unknown size", owner="p", status=ImageStatus.ACTIVE),
    Image(
        id="described",
        owner="p",
        status=ImageStatus.ACTIVE,
        size=1,
        name="Grüße, 世界",
        visibility=Visibility.PUBLIC,
        properties={"os_distro": "debian"},
        tags=frozenset({"golden"}),
    ),
)
"""What a policy may be asked about."""


class CachePolicyConformance(CachePolicyReports):
    """The promises of ``CachePolicy``. Give ``policy``, one that is ready for use."""

    # -- what a vendor gives

    @pytest.fixture
    def policy(self) -> Any:
        """A policy. To be overridden."""
        pytest.fail("give your test class a fixture 'policy' that returns the policy to test")

    # -- the kit's own

    def test_c01_every_image_gets_a_clear_answer(self, policy: Any) -> None:
        answers = [policy.admits(image) for image in IMAGES]
        assert all(isinstance(answer, bool) for answer in answers), answers

    def test_c02_all_that_is_there_is_put_in_an_order(self, policy: Any) -> None:
        order = list(policy.eviction_order(ENTRIES, NOON))
        assert sorted(map(_key, order)) == sorted(map(_key, ENTRIES))

    def test_c03_nothing_goes_from_an_empty_cache(self, policy: Any) -> None:
        assert list(policy.eviction_order((), NOON)) == []

    def test_c04_the_order_is_the_same_however_the_entries_come(self, policy: Any) -> None:
        order = list(policy.eviction_order(ENTRIES, NOON))
        for given in (ENTRIES[::-1], (*ENTRIES[3:], *ENTRIES[:3])):
            assert list(policy.eviction_order(given, NOON)) == order

    def test_c05_what_was_asked_before_changes_no_answer(self, policy: Any) -> None:
        first = list(policy.eviction_order(ENTRIES, NOON))
        list(policy.eviction_order(ENTRIES[:4], NOON + timedelta(days=30)))
        admitted = [policy.admits(image) for image in (*IMAGES, *IMAGES)]
        assert list(policy.eviction_order(ENTRIES, NOON)) == first
        assert admitted[: len(IMAGES)] == admitted[len(IMAGES) :]

    def test_c06_what_it_is_given_stays_as_it_is(self, policy: Any) -> None:
        given = list(ENTRIES)
        for _ in policy.eviction_order(given, NOON):
            break
        assert given == list(ENTRIES)

    def test_c07_what_expires_is_of_what_is_there_each_once(self, policy: Any) -> None:
        if not isinstance(policy, SupportsExpiry):
            pytest.skip("it has nothing expire (SupportsExpiry)")
        gone = [_key(found) for found in policy.expired(ENTRIES, NOON)]
        assert len(set(gone)) == len(gone)
        assert set(gone) <= {_key(found) for found in ENTRIES}
        assert list(policy.expired((), NOON)) == []

    def test_c08_it_says_what_it_is(self, policy: Any) -> None:
        kind = type(policy)
        assert kind.api_level <= API_LEVEL
        for option in kind.options:
            assert option.help, f"the option {option.name} has no help text"
        if kind.options:
            assert kind.section, "it has options and names no section"
        for name in ("admits", "eviction_order"):
            wanted = list(inspect.signature(getattr(CachePolicy, name)).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name


def _key(found: CacheEntry) -> tuple[str, ...]:
    return tuple(str(getattr(found, part.name)) for part in fields(found))
