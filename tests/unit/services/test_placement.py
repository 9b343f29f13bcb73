# SPDX-License-Identifier: Apache-2.0
"""Which store an image goes to that nobody chose one for: by the option, or by a plugin."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.core.breaker import Breaker
from glancekit.core.errors import Forbidden, StoreReadOnly, StoreUnavailable
from glancekit.core.hooks import Hooks
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.stores import ChooseBy, Store, Stores
from glancekit.core.stream import IteratorStream
from glancekit.plugin import hookimpl
from glancekit.services import data
from glancekit.services.builtins import placement
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore

ROOM = {"small": 100, "middle": 200, "large": 300, "unknown": None}

Mount = Callable[..., World]


@pytest.fixture
def drivers() -> dict[str, FaultyStore]:
    return {
        name: FaultyStore(SimpleNamespace(memory_store_capacity=room), name=name)
        for name, room in ROOM.items()
    }


@pytest.fixture
def mount(world: World, drivers: dict[str, FaultyStore], monkeypatch: pytest.MonkeyPatch) -> Mount:
    """Put four stores into the world, ``middle`` the default; words for one are by its id."""
    monkeypatch.setattr(placement, "PATIENCE", 10.0)  # nothing but what hangs takes it

    def mount(
        choose_by: ChooseBy,
        listeners: Any = None,
        *,
        patience: float = 10.0,
        **settings: dict[str, Any],
    ) -> World:
        hooks = Hooks(patience=patience)
        for name, listener in {"placement": placement, **(listeners or {})}.items():
            hooks.add(name, listener)
        stores = [
            Store(
                name,
                driver,
                is_default=name == "middle",
                breaker=Breaker(failures=1, pause=60),
                **settings.get(name, {}),
            )
            for name, driver in drivers.items()
        ]
        return replace(world, hooks=hooks, stores=Stores(stores, "middle", choose_by=choose_by))

    return mount


def goes_to(world: World, caller: Identity, image: Image, *, size: int | None = 4) -> str:
    source = IteratorStream(iter([b"data"]))
    active = data.upload(world, caller, image.id, source, size=size, store=None)
    (copy,) = active.locations
    return copy.store


@pytest.mark.parametrize(
    ("choose_by", "settings", "chosen"),
    [
        ("default", {}, "middle"),
        ("default", {"large": {"weight": 9}}, "middle"),
        ("weight", {}, "middle"),
        ("weight", {"large": {"weight": 9}, "small": {"weight": 8}}, "large"),
        ("weight", {"large": {"weight": 9, "draining": True}, "small": {"weight": 8}}, "small"),
        ("weight", {"large": {"weight": 9, "read_only": True}}, "middle"),
        ("weight", {"middle": {"weight": -1}}, "small"),
        ("free_space", {}, "large"),
        ("free_space", {"small": {"weight": 9}}, "large"),
        ("free_space", {"large": {"draining": True}}, "middle"),
        ("free_space", {"large": {"weight": -1}}, "middle"),
        ("free_space", {name: {"weight": -1} for name in ROOM}, "middle"),
    ],
)
@pytest.mark.parametrize("size", [4, None])
def test_the_option_chooses(
    mount: Mount,
    member: Identity,
    queued: Image,
    choose_by: str,
    settings: dict[str, Any],
    chosen: str,
    size: int | None,
) -> None:
    world = mount(ChooseBy(choose_by), **settings)
    assert goes_to(world, member, queued, size=size) == chosen


def test_a_store_that_does_not_say_how_much_room_it_has_is_passed_over(
    mount: Mount, drivers: dict[str, FaultyStore], member: Identity, queued: Image
) -> None:
    drivers["large"].fail("usage", OSError("odd"))
    assert goes_to(mount(ChooseBy.FREE_SPACE), member, queued) == "middle"


def test_a_store_that_hangs_when_it_is_asked_for_its_room_costs_the_others_nothing(
    mount: Mount,
    drivers: dict[str, FaultyStore],
    member: Identity,
    queued: Image,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The choice is still made by what they say; else it would be cut off, and the default's."""
    monkeypatch.setattr(placement, "PATIENCE", 1.0)
    drivers["large"].hang("usage")
    world = mount(ChooseBy.FREE_SPACE, middle={"weight": -1})
    try:
        assert goes_to(world, member, queued) == "small"
    finally:
        drivers["large"].heal()


def test_a_store_that_does_not_answer_is_passed_over(
    mount: Mount, drivers: dict[str, FaultyStore], member: Identity, queued: Image
) -> None:
    world = mount(ChooseBy.FREE_SPACE)
    drivers["large"].fail("size", StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        world.stores.get("large").size(Location(url="memory://large/x"))
    drivers["large"].calls.clear()
    assert goes_to(world, member, queued) == "middle"
    assert drivers["large"].calls == []


def test_nothing_is_sent_where_it_does_not_fit(
    mount: Mount, member: Identity, queued: Image
) -> None:
    """The default store then says itself that it has no room."""
    stores = mount(ChooseBy.FREE_SPACE).stores
    assert placement.choose_store(size=300, stores=stores) == "large"
    assert placement.choose_store(size=301, stores=stores) is None


def test_when_none_can_take_it_the_default_says_why(
    mount: Mount, member: Identity, queued: Image
) -> None:
    closed: Any = {name: {"draining": True} for name in ROOM}
    with pytest.raises(StoreReadOnly, match=r"'middle'.*drained"):
        goes_to(mount(ChooseBy.WEIGHT, **closed), member, queued)


# -- plugins


class Chooser:
    """Chooses what it was told to, and remembers what it was asked."""

    def __init__(self, choice: Any) -> None:
        self.choice = choice
        self.asked: list[tuple[str, int | None, str | None]] = []

    @hookimpl
    def choose_store(
        self, image: Image, size: int | None, project_id: str | None, stores: Stores
    ) -> Any:
        self.asked.append((image.id, size, project_id))
        assert {store.id for store in stores} == set(ROOM)
        if isinstance(self.choice, Exception):
            raise self.choice
        return self.choice


def test_hook_choose_store_decides_before_the_option(
    mount: Mount, member: Identity, queued: Image
) -> None:
    zeal = Chooser("small")
    world = mount(ChooseBy.FREE_SPACE, {"zeal": zeal})
    assert goes_to(world, member, queued) == "small"
    assert zeal.asked == [(queued.id, 4, "p1")]


def test_the_first_that_knows_is_heard(mount: Mount, member: Identity, queued: Image) -> None:
    listeners = {"a": Chooser(None), "b": Chooser("small"), "c": Chooser("large")}
    assert goes_to(mount(ChooseBy.DEFAULT, listeners), member, queued) == "small"
    assert [len(chooser.asked) for chooser in listeners.values()] == [1, 1, 0]


@pytest.mark.parametrize(
    "choice",
    [
        "nowhere",
        "os_glance_staging_store",
        "closed",
        "",
        7,
        ["small"],
        OSError("no network"),
        SystemError(),
    ],
)
def test_a_choice_that_makes_no_sense_costs_a_line_in_the_log(
    mount: Mount,
    member: Identity,
    queued: Image,
    choice: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    choice = "small" if choice == "closed" else choice
    world = mount(ChooseBy.DEFAULT, {"odd": Chooser(choice)}, small={"draining": True})
    assert goes_to(world, member, queued) == "middle"
    assert "plugin odd" in caplog.text


def test_a_plugin_that_hangs_is_not_waited_for(
    mount: Mount, member: Identity, queued: Image, caplog: pytest.LogCaptureFixture
) -> None:
    forever = threading.Event()

    class Hangs:
        @hookimpl
        def choose_store(self) -> str:
            forever.wait()
            return "small"

    world = mount(ChooseBy.DEFAULT, {"slow": Hangs()}, patience=1.0)
    assert goes_to(world, member, queued) == "middle"
    assert "plugin slow failed" in caplog.text
    forever.set()


def test_nobody_is_asked_for_who_may_not_upload_or_has_chosen(
    mount: Mount, member: Identity, reader: Identity, queued: Image
) -> None:
    chooser = Chooser("small")
    world = mount(ChooseBy.DEFAULT, {"a": chooser})
    with pytest.raises(Forbidden):
        goes_to(world, reader, queued)
    source = IteratorStream(iter([b"data"]))
    active = data.upload(world, member, queued.id, source, size=4, store="large")
    assert [copy.store for copy in active.locations] == ["large"]
    assert chooser.asked == []
