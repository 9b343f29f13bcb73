# SPDX-License-Identifier: Apache-2.0
"""What a source of limits promises, as tests. A vendor inherits them, gives the source and what
it knows of two projects or more::

    class TestAcmeLimits(LimitsConformance):
        @pytest.fixture
        def source(self):
            return AcmeLimits(options, name="acme")

        @pytest.fixture
        def limited(self):
            return {"research": {Quota.IMAGE_COUNT_TOTAL: 7}, "staff": {}}

The numbers are those of ``docs/reference/contracts/limits.rst``.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from glancekit.plugin import API_LEVEL, LimitSource, Quota, Unavailable
from glancekit.testing.limits_reports import LimitsReports

Limits = Mapping[Quota, int]

STRANGERS: Sequence[str] = (
    "5e0f5b7c0d4f4c0c9a4b1a1f3c2d7e90",
    "nobody",
    "a b/c?project_id=d&e=f#g",
    "../../etc/passwd",
    "%00%2e%2e",
    "Grüße, 世界",
    "x" * 64,
)
"""Projects of which nobody has ever said anything."""


class LimitsConformance(LimitsReports):
    """The promises of ``LimitSource``. Give ``source`` and ``limited``."""

    # -- what a vendor gives

    @pytest.fixture
    def source(self) -> Any:
        """A source that is ready for use. To be overridden."""
        pytest.fail("give your test class a fixture 'source' that returns the source to test")

    @pytest.fixture
    def limited(self) -> Mapping[str, Limits]:
        """Projects, and all limits that each has. To be overridden."""
        pytest.fail("give your test class a fixture 'limited'")

    @pytest.fixture
    def away(self) -> Any:
        """A source of which what it asks does not answer. Optional."""
        return None

    # -- the kit's own

    def test_l01_it_says_what_it_is(self, source: Any) -> None:
        kind = type(source)
        assert isinstance(source, LimitSource)
        assert isinstance(kind.api_level, int)
        assert kind.api_level <= API_LEVEL
        assert kind.section, "it names no section for its options"
        for option in kind.options:
            assert option.help, f"the option {option.name} has no help text"
        for name in ("is_limiting", "limits", "close"):
            wanted = list(inspect.signature(getattr(LimitSource, name)).parameters)
            assert list(inspect.signature(getattr(kind, name)).parameters) == wanted, name

    def test_l02_examples_are_given(self, limited: Mapping[str, Limits]) -> None:
        assert len(limited) > 1, "give two projects, so that it shows when they are mixed up"
        assert any(limited.values()), "give a project that has a limit"

    def test_l03_it_says_that_somebody_is_limited(self, source: Any) -> None:
        for _ in range(2):
            assert source.is_limiting() is True

    def test_l04_a_project_has_its_limits_and_no_others(
        self, source: Any, limited: Mapping[str, Limits]
    ) -> None:
        for _ in range(2):
            for project, limits in limited.items():
                assert dict(source.limits(project)) == dict(limits)

    def test_l05_limits_are_whole_numbers_from_zero_up(
        self, source: Any, limited: Mapping[str, Limits]
    ) -> None:
        for project in (*limited, *STRANGERS):
            for quota, limit in source.limits(project).items():
                assert isinstance(quota, Quota), f"{quota!r} is no Quota"
                assert type(limit) is int, f"{quota}: {limit!r} is no whole number"
                assert limit >= 0, f"{quota}: what has no limit is left out"

    def test_l06_whoever_is_not_known_has_what_such_have(self, source: Any) -> None:
        answers = [dict(source.limits(project)) for project in STRANGERS]
        assert all(answer == answers[0] for answer in answers), "ids are read as something else"

    def test_l07_many_threads_do_not_mix_projects(
        self, source: Any, limited: Mapping[str, Limits]
    ) -> None:
        cases = list(limited.items()) * 50
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(source.limits, [project for project, _ in cases]))
        assert [dict(answer) for answer in found] == [dict(limits) for _, limits in cases]

    def test_l08_what_cannot_be_known_now_is_unavailable(
        self, away: Any, limited: Mapping[str, Limits]
    ) -> None:
        if away is None:
            pytest.skip("there is no fixture 'away'")
        for project in limited:
            with pytest.raises(Unavailable):
                away.limits(project)

    def test_l09_it_can_be_closed_twice(self, source: Any) -> None:
        source.close()
        source.close()
