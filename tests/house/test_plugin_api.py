# SPDX-License-Identifier: Apache-2.0
"""Every name of the plugin API is in its changelog, under the level that brought it, once."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from glancekit import plugin
from glancekit.core import drivers, hookspecs

HOOKS = {
    name for name, one in vars(hookspecs).items() if hasattr(one, f"{hookspecs.PROJECT}_spec")
}


@pytest.fixture(scope="module")
def levels(root: Path) -> dict[int, str]:
    """What the page has for each level."""
    text = (root / "docs/reference/plugin-api.rst").read_text()
    _, *parts = re.split(r"^Level (\d+)\n-+$", text, flags=re.MULTILINE)
    return {int(level): said for level, said in zip(parts[::2], parts[1::2], strict=True)}


def came(said: str) -> list[str]:
    """Return the names that came with a level: in its lists, before the colon of each entry."""
    lists = re.findall(r"^(?:At first|Added)\n~+\n(.*?)(?=^\S[^\n]*\n~+$|\Z)", said, re.M | re.S)
    entries = re.findall(r"^\* (.*?):\s", "\n".join(lists), re.MULTILINE | re.DOTALL)
    return [name for entry in entries for name in re.findall(r"``(\w+)``", entry)]


def test_every_name_came_once(levels: dict[int, str]) -> None:
    named = Counter(name for said in levels.values() for name in came(said))
    assert set(named) == set(plugin.__all__) | HOOKS
    assert set(named.values()) == {1}


def test_all_that_is_public_is_meant_to_be() -> None:
    """What the door imports is what it offers: nothing else can be had through it."""
    public = {name for name in vars(plugin) if not name.startswith("_")} - {"annotations"}
    assert public == set(plugin.__all__)


def test_every_level_has_its_part(levels: dict[int, str]) -> None:
    assert sorted(levels) == list(range(1, drivers.API_LEVEL + 1))


def test_a_level_is_counted_as_it_is_described(root: Path) -> None:
    text = (root / "docs/reference/plugin-api.rst").read_text()
    assert "and of the two before" in text
    first = max(1, drivers.API_LEVEL - 2)
    assert list(drivers.SUPPORTED_LEVELS) == list(range(first, drivers.API_LEVEL + 1))
