# SPDX-License-Identifier: Apache-2.0
"""The kit for cache policies itself: who is honest passes it, every liar is caught by its test."""

from __future__ import annotations

from pathlib import Path

import pytest

from glancekit.testing.cache import CachePolicyConformance
from glancekit.testing.cache_liars import POLICY_LIARS, HonestPolicy


class TestHonestPolicy(CachePolicyConformance):
    @pytest.fixture
    def policy(self) -> HonestPolicy:
        return HonestPolicy()


@pytest.mark.parametrize("liar", POLICY_LIARS, ids=lambda liar: liar.__name__)
def test_every_liar_is_caught(liar: type[HonestPolicy]) -> None:
    with pytest.raises(Exception) as caught:
        getattr(CachePolicyConformance(), liar.caught_by)(liar())
    assert not isinstance(caught.value, pytest.skip.Exception)


def test_every_test_catches_a_liar() -> None:
    asked = {name for name in vars(CachePolicyConformance) if name.startswith("test_c")}
    assert asked == {liar.caught_by for liar in POLICY_LIARS}


def test_every_promise_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/contracts/cache.rst").read_text()
    assert all(f"**C{number}** " in text for number in range(1, 9))
