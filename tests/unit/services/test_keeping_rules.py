# SPDX-License-Identifier: Apache-2.0
"""Placement rules: what a file may say, what follows from it for an image, and doing that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glancekit.core.errors import (
    BlobUnavailable,
    ConfigError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreUnavailable,
    Unavailable,
)
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Finding, Image, Location, Visibility
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.core.throttle import Throttle
from glancekit.services import data, images
from glancekit.services.copies import Redirect, open_best
from glancekit.services.keeping import rules
from glancekit.services.keeping.options import Placement
from glancekit.services.keeping.placing import Keeper
from glancekit.services.keeping.planning import Action, Condition, plan
from glancekit.services.keeping.rules import Rule
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore

KNOWN = ("a", "b", "c")
FINE = Condition(holds=True, takes=True, gives=True)
DRAINED = Condition(holds=False, takes=False, gives=True, is_drained=True, why="drained")
AWAY = Condition(holds=True, takes=False, gives=False, why="away")
LOST = Condition(holds=False, takes=False, gives=False, why="lost")

TWICE = Rule(name="twice", stores=("a", "b", "c"), copies=2)


def load(folder: Path, text: str) -> tuple[Rule, ...]:
    file = folder / "placement.yaml"
    file.write_text(text)
    return rules.load([file], KNOWN)


# -- the file


def test_a_file_of_rules(tmp_path: Path) -> None:
    assert load(
        tmp_path,
        """
- name: twice
  stores: [a, b]
- name: golden
  match:
    visibility: public
    projects: [p1, p2]
    tags: golden
    properties: {hw_scsi: true, n: 3}
  copies: 1
  stores: [c, a]
  exact: true
""",
    ) == (
        Rule(name="twice", stores=("a", "b"), copies=2),
        Rule(
            name="golden",
            stores=("c", "a"),
            copies=1,
            exact=True,
            visibilities=frozenset({"public"}),
            projects=frozenset({"p1", "p2"}),
            tags=frozenset({"golden"}),
            properties={"hw_scsi": "true", "n": "3"},
        ),
    )
    assert load(tmp_path, "") == ()
    assert rules.load([], KNOWN) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b", "list of rules"),
        ("- [", "is no YAML"),
        ("- twice", "rule 1 has to have"),
        ("- {name: x}", "name stores"),
        ("- {name: x, stores: [a, a]}", "each once"),
        ("- {name: x, stores: [a, d]}", "'d', which is not configured; the stores are: a, b, c"),
        ("- {name: x, stores: [a], copies: 2}", "'copies' is a number from 1"),
        ("- {name: x, stores: [a], copies: true}", "'copies' is a number from 1"),
        ("- {name: x, stores: [a], exact: maybe}", "'exact' is true or false"),
        ("- {name: x, stores: [a], store: b}", "'store', which means nothing"),
        ("- {name: x, stores: [a], match: {tag: b}}", "'tag', which means nothing"),
        ("- {name: x, stores: [a], match: {visibility: open}}", "no visibility 'open'"),
        ("- {name: x, stores: [a], match: {properties: [b]}}", "a value each"),
        ("- {name: x, stores: [a], match: [b]}", "'match' has"),
        ("- {name: x, stores: [{}]}", "a word or a list"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(tmp_path, text)
    assert said in str(told.value)
    assert "placement.yaml" in str(told.value)


# -- what follows


def an_image(*copies: str, **facts: Any) -> Image:
    def copy(number: int, name: str) -> Location:
        store, _, finding = name.partition("!")
        lost = Finding(finding) if finding else None
        return Location(id=number, url=f"m://{store}", store=store, finding=lost)

    locations = tuple(copy(number, name) for number, name in enumerate(copies))
    return Image(id="i", owner="p1", locations=locations, **facts)


def actions(rule: Rule | tuple[Rule, ...], image: Image, *conditions: Condition) -> str:
    """Return what happens in stores a, b, c, a letter for each."""
    wanted = rule if isinstance(rule, tuple) else (rule,)
    steps = plan(wanted, image, dict(zip(KNOWN, conditions, strict=True)))
    found = {step.store: step.action for step in steps}
    letters = {Action.NONE: "-"}
    return "".join(letters.get(found[name], found[name].value[0]) for name in KNOWN)


@pytest.mark.parametrize(
    ("copies", "conditions", "wanted"),
    [
        (["a"], (FINE, FINE, FINE), "ka-"),
        (["c"], (FINE, FINE, FINE), "a-k"),
        (["a", "b", "c"], (FINE, FINE, FINE), "kkk"),
        (["a", "b"], (DRAINED, FINE, FINE), "wka"),
        (["a", "b", "c"], (DRAINED, FINE, FINE), "rkk"),
        (["a", "b"], (DRAINED, FINE, LOST), "wk-"),
        (["a", "b"], (AWAY, FINE, FINE), "kk-"),
        (["a", "b"], (LOST, FINE, FINE), "kka"),
        (["a", "b"], (LOST, LOST, FINE), "kka"),
        (["a!bad", "b"], (FINE, FINE, FINE), "wk-"),
        (["a!bad", "b"], (FINE, FINE, AWAY), "wk-"),
        (["a!missing", "b", "c"], (FINE, FINE, FINE), "kkk"),
    ],
)
def test_two_copies_in_three_stores(
    copies: list[str], conditions: tuple[Condition, ...], wanted: str
) -> None:
    assert actions(TWICE, an_image(*copies), *conditions) == wanted


def test_only_an_exact_rule_removes_what_is_elsewhere() -> None:
    one = Rule(name="one", stores=("a",), copies=1)
    three = an_image("a", "b", "c")
    assert actions(one, three, FINE, FINE, FINE) == "kkk"
    assert actions(replace(one, exact=True), three, FINE, FINE, FINE) == "krr"
    assert actions(replace(one, exact=True), an_image("b"), FINE, FINE, FINE) == "aw-"
    other = Rule(name="other", stores=("c",), copies=1)
    assert actions((replace(one, exact=True), other), three, FINE, FINE, FINE) == "krk"


def test_without_a_rule_that_matches_nothing_happens() -> None:
    public = replace(TWICE, visibilities=frozenset({"public"}), exact=True)
    assert actions(public, an_image("a"), DRAINED, FINE, FINE) == "w--"
    shown = an_image("a", visibility=Visibility.PUBLIC)
    assert actions(public, shown, FINE, FINE, FINE) == "ka-"


@pytest.mark.parametrize(
    ("match", "facts", "does"),
    [
        ({"tags": frozenset("xy")}, {"tags": frozenset("xyz")}, True),
        ({"tags": frozenset("xy")}, {"tags": frozenset("x")}, False),
        ({"projects": frozenset({"p1"})}, {}, True),
        ({"projects": frozenset({"p2"})}, {}, False),
        ({"properties": {"os": "linux"}}, {"properties": {"os": "linux", "b": "c"}}, True),
        ({"properties": {"os": "linux"}}, {"properties": {"os": "bsd"}}, False),
    ],
)
def test_what_a_rule_is_about(match: dict[str, Any], facts: dict[str, Any], does: bool) -> None:
    assert replace(TWICE, **match).matches(an_image(**facts)) is does


# -- doing it


@pytest.fixture
def drivers() -> Iterator[dict[str, FaultyStore]]:
    drivers = {name: FaultyStore(name=name) for name in KNOWN}
    yield drivers
    for driver in drivers.values():
        driver.heal()


Mount = Callable[..., World]


@pytest.fixture
def mount(world: World, drivers: dict[str, FaultyStore]) -> Mount:
    """Build a world whose rule is two copies in three stores; settings by the store's name."""

    def mount(*rule: Rule, lost_after: float = 0.0, **settings: dict[str, Any]) -> World:
        stores = [Store(name, drivers[name], **settings.get(name, {})) for name in KNOWN]
        placement = Placement(rules=lambda: rule or (TWICE,), lost_after=lost_after)
        return replace(world, stores=Stores(stores, "a"), placement=placement)

    return mount


def an_upload(world: World, caller: Identity, **facts: Any) -> Image:
    new = images.create(
        world, caller, NewImage(disk_format="raw", container_format="bare", **facts)
    )
    return data.upload(world, caller, new.id, IteratorStream(iter([b"data"])), size=4, store="a")


def held(drivers: dict[str, FaultyStore], image: Image) -> str:
    return "".join(name for name in KNOWN if drivers[name].blobs.get(image.id) == b"data")


def recorded(world: World, image: Image) -> str:
    with world.metadata.unit_of_work(read_only=True) as work:
        return "".join(sorted(row.store for row in work.locations.of_image(image.id)))


@pytest.mark.parametrize("refusal", [StoreDenied("read-only"), StoreFull(), BlobUnavailable()])
def test_a_store_that_is_full_or_refuses_has_what_is_in_it(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore], refusal: StoreError
) -> None:
    """Only silence counts: it is not lost, however long that lasts; but it takes nothing."""
    world = mount()
    image = an_upload(world, member)
    assert Keeper(world).run() == "1 added"
    assert held(drivers, image) == "ab"
    drivers["b"].fail("check", refusal)
    keeper = Keeper(mount())
    for _ in range(2):
        assert keeper.run() is None
    condition = keeper.conditions()["b"]
    assert (condition.holds, condition.takes) == (True, False)
    assert condition.gives != isinstance(refusal, StoreDenied)
    assert condition.why == str(refusal)
    other = an_upload(world, member)
    assert Keeper(mount()).run() == "1 added"
    assert held(drivers, other) == "ac"
    drained = Keeper(mount(b={"draining": True})).conditions()["b"]
    assert (drained.holds, drained.is_drained) == (False, True)


def test_a_store_is_added_drained_and_lost(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    world = mount()
    image = an_upload(world, member)
    assert Keeper(world).run() == "1 added"
    assert held(drivers, image) == recorded(world, image) == "ab"
    assert Keeper(world).run() is None
    drained = mount(a={"draining": True})
    keeper = Keeper(drained)
    assert keeper.run() == "1 added"
    assert keeper.run() == "1 removed"
    assert held(drivers, image) == recorded(world, image) == "bc"
    drivers["c"].fail("check", StoreUnavailable("gone"))
    assert Keeper(mount(lost_after=60)).run() is None  # away, not lost yet
    assert Keeper(mount()).run() == "1 added"
    assert held(drivers, image) == recorded(world, image) == "abc"


def test_the_copies_are_verified_and_told(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    world = mount()
    image = an_upload(world, member)
    Keeper(world).run()
    with world.metadata.unit_of_work(read_only=True) as work:
        copies = work.images.get(image.id).locations
        told = [event.type for event in work.events.after(0, limit=99)]
    assert [(copy.store, copy.finding) for copy in copies] == [
        ("a", Finding.GOOD),
        ("b", Finding.GOOD),
    ]
    assert told[-1] == "image.copy.added"


def test_a_bad_copy_is_not_spread_and_the_last_good_one_not_removed(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    exact = Rule(name="one", stores=("b",), copies=1, exact=True)
    image = an_upload(mount(), member)
    Keeper(mount(exact)).run()
    assert held(drivers, image) == "ab"
    drivers["b"].blobs[image.id] = b"dat4"
    world = mount(exact)
    with world.metadata.unit_of_work() as work:  # as if it were long since it was read
        copy = next(c for c in work.images.get(image.id).locations if c.store == "b")
        old = replace(copy, verified_at=image.created_at.replace(year=2000))
        work.locations.note(old, since=copy.audited_at)
        work.commit()
    assert Keeper(world).run() == "1 not possible"
    assert drivers["a"].blobs[image.id] == b"data"
    drivers["a"].blobs[image.id] = b"d4ta"
    Keeper(mount()).run()
    assert image.id not in drivers["c"].blobs


def test_a_store_that_fails_is_left_alone_for_the_round(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    world = mount()
    made = [an_upload(world, member) for _ in range(5)]
    drivers["b"].fail("write", StoreUnavailable("full of trouble"))
    found = Keeper(world).run()
    assert found is not None
    assert found.endswith("failed")
    assert drivers["b"].calls.count("write") <= world.placement.parallel
    assert all(recorded(world, image) == "a" for image in made)
    drivers["b"].heal()
    assert Keeper(world).run() == "5 added"


def test_a_copy_removed_while_it_is_read_is_read_on_from_where_it_went(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    """The record that a download began with knows nothing of the copy that was made since."""
    once = Rule(name="once", stores=("a", "b"), copies=1)
    world = mount(once)
    image = an_upload(world, member)
    found = data.download(world, member, image.id, None)
    keeper = Keeper(mount(once, a={"draining": True}))
    assert (keeper.run(), keeper.run()) == ("1 added", "1 removed")
    drivers["a"].fail("open", StoreUnavailable("away"))

    class Cut(ByteStream):
        def read(self, size: int = -1, /) -> bytes:
            raise StoreUnavailable("it was removed")

        def close(self) -> None:
            """Nothing is open."""

    stream = found.stream
    assert stream is not None
    stream._stream = Cut()  # type: ignore[attr-defined]
    assert b"".join(stream) == b"data"
    # And one that had read the record, but not yet opened the copy.
    real, calls = drivers["b"].open, []
    drivers["b"].open = lambda location: calls.append(location) or real(location)  # type: ignore
    stale = replace(image, locations=image.locations)
    late = open_best(world, stale, 0, 4, redirect=Redirect.NEVER)
    assert late.stream is not None
    assert b"".join(late.stream) == b"data"
    assert calls


def test_the_explanation_does_nothing(
    mount: Mount, member: Identity, drivers: dict[str, FaultyStore]
) -> None:
    world = mount()
    image = an_upload(world, member)
    (sentence,) = Keeper(world).explain()
    assert sentence == f"image {image.id}, store b: add: it has no copy yet"
    assert held(drivers, image) == "a"


def test_a_stop_ends_the_round(mount: Mount, member: Identity) -> None:
    stopping = threading.Event()
    world = mount()
    image = an_upload(world, member)
    stopping.set()
    stopped = replace(world.placement, throttle=Throttle(0, stopping))
    with pytest.raises(Unavailable):
        Keeper(replace(world, placement=stopped)).run()
    assert recorded(world, image) == "a"
