# SPDX-License-Identifier: Apache-2.0
"""How the service says it is: part by part, whatever hangs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from glancekit.core.breaker import Breaker
from glancekit.core.drivers import PluginReport, PluginState
from glancekit.core.errors import MetadataUnavailable, StoreUnavailable
from glancekit.core.stores import Store, Stores
from glancekit.plugin import ByteStream, Location, StoreDriver
from glancekit.services import health
from glancekit.services.health import Health, Part
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore


class Web(StoreDriver):
    """Cannot be asked how it is."""

    api_level = 1

    def open(self, location: Location) -> ByteStream:
        raise StoreUnavailable("this one server")

    def size(self, location: Location) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def drivers() -> Iterator[list[FaultyStore]]:
    drivers = [FaultyStore(name="a"), FaultyStore(name="b")]
    yield drivers
    for driver in drivers:
        driver.heal()


@pytest.fixture
def watched(world: World, drivers: list[FaultyStore]) -> World:
    """Two stores that can be asked, the first of them the default, and one that cannot."""
    return watching(world, drivers, deadline=30)


def watching(world: World, drivers: list[FaultyStore], *, deadline: float) -> World:
    first, second = drivers
    breaker = Breaker(failures=2, pause=60)
    stores = [
        Store("a", first, is_default=True, deadline=deadline, breaker=breaker),
        Store("b", second, draining=True, deadline=deadline),
        Store("web", Web(), draining=True),
    ]
    return replace(world, stores=Stores(stores, "a"))


def part(found: Health, name: str) -> Part:
    (one,) = [part for part in found.parts if part.name == name]
    return one


def test_all_is_well_and_what_is_drained_is_said(watched: World) -> None:
    found = health.check(watched)
    assert found.ok
    assert [(part.name, part.ok, part.required) for part in found.parts] == [
        ("metadata", True, True),
        ("store:a", True, True),
        ("store:b", True, False),
        ("store:web", True, False),
    ]
    assert [part.breaker for part in found.parts] == [None, "closed", "closed", None]
    assert [bool(part.detail) for part in found.parts] == [False, False, True, True]


def test_a_store_that_is_not_the_default_one_does_no_harm(
    watched: World, drivers: list[FaultyStore]
) -> None:
    drivers[1].fail("check", StoreUnavailable("no route"))
    found = health.check(watched)
    assert found.ok
    assert not part(found, "store:b").ok
    assert "no route" in part(found, "store:b").detail
    assert "drained" in part(found, "store:b").detail


def test_stores_that_hang_are_named_and_soon_are_not_asked(
    world: World, drivers: list[FaultyStore]
) -> None:
    watched = watching(world, drivers, deadline=0.1)
    for driver in drivers:
        driver.hang("check")
    for _ in range(2):
        found = health.check(watched)
        assert not found.ok
        assert "no answer within 0.1 s" in part(found, "store:a").detail
    assert part(found, "store:a").breaker == "open"
    drivers[0].calls.clear()
    assert not health.check(watched).ok
    assert drivers[0].calls == []


def test_a_store_that_takes_its_time_is_not_waited_for(
    world: World, drivers: list[FaultyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.1)
    drivers[0].hang("check")
    slow = replace(world, stores=Stores([Store("a", drivers[0], is_default=True)], "a"))
    found = health.check(slow)
    assert not found.ok
    assert "within 0.1 s" in part(found, "store:a").detail


def test_metadata_and_plugins_are_parts_too(
    watched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked() -> None:
        raise MetadataUnavailable("locked")

    monkeypatch.setattr(watched.metadata, "check", locked)
    broken = PluginReport(
        group="glancekit.hooks", name="x", state=PluginState.BROKEN, reason="no module"
    )
    sound = PluginReport(group="glancekit.hooks", name="y")
    found = health.check(replace(watched, plugins=(broken, sound)))
    assert not found.ok
    assert "locked" in part(found, "metadata").detail
    assert part(found, "plugin:glancekit.hooks:x") == Part(
        name="plugin:glancekit.hooks:x", ok=False, detail="no module", required=False
    )
    assert not [part for part in found.parts if part.name.endswith(":y")]


def test_a_cache_that_there_is_to_be_and_is_not_is_named(watched: World) -> None:
    found = health.check(replace(watched, cache_error="its folder is a file"))
    cache = part(found, "cache")
    assert (cache.ok, cache.required, found.ok) == (False, False, True)
    assert "its folder is a file" in cache.detail
