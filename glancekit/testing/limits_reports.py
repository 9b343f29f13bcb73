# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a source of limits on request (reports.py). Promises are limits'."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from glancekit.plugin import LimitSource, Quota
from glancekit.testing import reports
from glancekit.testing.memory_limits import MemoryLimits
from glancekit.testing.reports import Fact, Figure, rate


class LimitsReports:
    """Prints what a source limits, and how fast it says so, when it is asked for."""

    def test_report_table(
        self, limited: Mapping[str, Mapping[Quota, int]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For the README of the plugin: what a project of the examples has a limit of."""
        reports.wanted("table")
        known = {quota for limits in limited.values() for quota in limits}
        facts = [Fact(quota.value, quota in known, quota.words) for quota in Quota]
        reports.show(
            capsys, "Capabilities\n------------", reports.fact_table(facts, title="limit of")
        )

    def test_report_speed(
        self,
        source: Any,
        limited: Mapping[str, Mapping[Quota, int]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One caller; the projects of the examples, one after the other, who were asked before."""
        reports.wanted("speed")
        for project in limited:
            source.limits(project)
        figures = _figures(source, limited)
        floor = _figures(MemoryLimits(limited), limited)
        reports.show(capsys, "Speed", reports.beside(figures, floor))


def _figures(source: LimitSource, limited: Mapping[str, Any]) -> Iterator[Figure]:
    projects = itertools.cycle(limited)
    yield rate("limits of a project", lambda: source.limits(next(projects)))
    yield rate("is anybody limited", source.is_limiting)
