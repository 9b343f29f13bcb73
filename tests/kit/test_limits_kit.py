# SPDX-License-Identifier: Apache-2.0
"""The kit for limits itself: who is honest passes it, and every liar is caught by its test."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from glancekit.plugin import Quota
from glancekit.services.builtins.config_limits import ConfigLimits
from glancekit.testing import LimitsConformance, MemoryLimits
from glancekit.testing.limits_liars import LIARS, LIMITED, USUAL, HonestLimits


class TestHonest(LimitsConformance):
    @pytest.fixture
    def source(self) -> HonestLimits:
        return HonestLimits()

    @pytest.fixture
    def limited(self) -> Mapping[str, Mapping[Quota, int]]:
        return LIMITED

    @pytest.fixture
    def away(self) -> HonestLimits:
        return HonestLimits(is_away=True)


class TestMemory(LimitsConformance):
    @pytest.fixture
    def source(self) -> MemoryLimits:
        return MemoryLimits(LIMITED, USUAL)

    @pytest.fixture
    def limited(self) -> Mapping[str, Mapping[Quota, int]]:
        return LIMITED


class TestConfig(LimitsConformance):
    """The source that comes in the box."""

    @pytest.fixture
    def source(self) -> ConfigLimits:
        values = {option.name: option.default for option in ConfigLimits.options}
        values |= {"image_count_total": 100, "image_stage_total": -1}
        values["overrides"] = ["research:image_count_total=7", "staff:image_count_total=-1"]
        return ConfigLimits(SimpleNamespace(**values), name="config")

    @pytest.fixture
    def limited(self) -> Mapping[str, Mapping[Quota, int]]:
        return {
            "research": {Quota.IMAGE_COUNT_TOTAL: 7},
            "staff": {},
            "any other": {Quota.IMAGE_COUNT_TOTAL: 100},
        }


@pytest.mark.parametrize("liar", LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_is_caught(liar: type[HonestLimits]) -> None:
    given = {"source": liar(), "limited": LIMITED, "away": liar(is_away=True)}
    test = getattr(LimitsConformance(), liar.caught_by)
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        test(**{name: given[name] for name in inspect.signature(test).parameters})
    assert not isinstance(caught.value, pytest.skip.Exception)


def test_every_test_that_asks_something_of_a_source_catches_a_liar() -> None:
    asked = {name for name in vars(LimitsConformance) if name.startswith("test_l")}
    assert asked - {liar.caught_by for liar in LIARS} == {"test_l02_examples_are_given"}


@pytest.mark.parametrize("given", [{}, {"research": {}, "staff": {}}, {"research": USUAL}])
def test_examples_are_insisted_upon(given: Mapping[str, Mapping[Quota, int]]) -> None:
    with pytest.raises(AssertionError):
        LimitsConformance().test_l02_examples_are_given(given)
