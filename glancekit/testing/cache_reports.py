# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a cache policy on request (reports.py). Promises are cache's business."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glancekit.core.contracts.cache import CACHE_CAPABILITIES
from glancekit.plugin import CacheEntry, CachePolicy, Image, ImageStatus
from glancekit.testing import reports
from glancekit.testing.cache_liars import HonestPolicy
from glancekit.testing.reports import Figure, rate

ENTRIES = 1000
"""Images in the cache that is put in order."""

_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class CachePolicyReports:
    """Prints what a policy can do, and how fast, when it is asked for."""

    def test_report_table(self, policy: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """For the README of the plugin."""
        reports.wanted("table")
        able = [kind for kind in CACHE_CAPABILITIES if isinstance(policy, kind)]
        table = reports.capability_table(able, CACHE_CAPABILITIES)
        reports.show(capsys, "Capabilities\n------------", table)

    def test_report_speed(self, policy: Any, capsys: pytest.CaptureFixture[str]) -> None:
        """One caller; the other policy has the eldest go first."""
        reports.wanted("speed")
        lines = reports.beside(_figures(policy), _figures(HonestPolicy()), other="eldest first")
        reports.show(capsys, "Speed", lines)


def _figures(policy: CachePolicy) -> Iterator[Figure]:
    image = Image(id="usual", owner="p", status=ImageStatus.ACTIVE, size=1 << 30)
    entries = [_entry(number) for number in range(ENTRIES)]
    yield rate("admit an image", lambda: policy.admits(image))
    yield rate(f"order {ENTRIES} images", lambda: list(policy.eviction_order(entries, _NOON)))


def _entry(number: int) -> CacheEntry:
    """Return one of many that are all different, in no order."""
    scattered = number * 7919 % ENTRIES
    cached_at = _NOON - timedelta(minutes=scattered)
    return CacheEntry(
        image_id=str(number),
        size=(scattered + 1) << 20,
        hits=scattered % 17,
        cached_at=cached_at,
        last_hit_at=cached_at + timedelta(seconds=scattered % 13),
    )
