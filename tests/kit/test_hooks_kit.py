# SPDX-License-Identifier: Apache-2.0
"""The kit for listeners itself: honest ones pass it, and every liar is caught by its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from glancekit.core import hookspecs
from glancekit.plugin import PeriodicTask, StrOpt, hookimpl
from glancekit.services.builtins import audit_log, placement
from glancekit.testing.hooks import HooksConformance


def module(*functions: Callable[..., Any], **facts: Any) -> ModuleType:
    """Make a plugin's module."""
    made = ModuleType("acme")
    named = {function.__name__: hookimpl(function) for function in functions}
    vars(made).update({"api_level": 1} | facts | named)
    return made


def after_commit(events: Any) -> None:
    """Take it."""


def register_periodic_tasks(world: Any) -> list[PeriodicTask]:
    return [PeriodicTask(name="look", interval=60, run=world.metadata.check)]


def choose_store(image: Any, stores: Any) -> str | None:
    return stores.takers[0].id if image.size else None


def should_cache(image: Any) -> bool | None:
    return None if image.owner else False


class TestHonest(HooksConformance):
    @pytest.fixture
    def listener(self) -> Any:
        return module(after_commit, register_periodic_tasks, choose_store, should_cache)


class TestOurOwn(HooksConformance):
    """Two that come in the box; the others need more of the service than the kit has."""

    @pytest.fixture(params=[audit_log, placement], ids=["audit_log", "placement"])
    def listener(self, request: pytest.FixtureRequest) -> Any:
        return request.param


class Listener:
    """One of several for which a plugin stands."""

    def __init__(self) -> None:
        self.told = 0

    @hookimpl
    def after_commit(self, events: Any) -> None:
        self.told += len(events)


class Plugin:
    """A plugin with options, which stands for listeners."""

    api_level = 1
    section = "acme"
    options: Any = (StrOpt("address", help="Where it is."),)

    def __init__(self) -> None:
        self.parts = {"one": Listener(), "two": Listener()}

    def listeners(self) -> dict[str, Listener]:
        return self.parts


class TestHonestParts(HooksConformance):
    """Those for whom a plugin stands are told, too."""

    @pytest.fixture
    def listener(self) -> Plugin:
        return Plugin()

    @pytest.fixture(autouse=True)
    def all_are_told(self, listener: Plugin, request: pytest.FixtureRequest) -> Iterator[None]:
        yield
        if request.node.name.startswith(("test_h03", "test_h04")):
            assert all(part.told > 3 for part in listener.parts.values())


def lie_of_tasks(*tasks: PeriodicTask) -> Callable[..., Any]:
    def register_periodic_tasks() -> list[PeriodicTask]:
        return list(tasks)

    return register_periodic_tasks


def lie_of_knowing_all() -> Callable[..., Any]:
    def after_commit(events: Any) -> None:
        for event in events:
            {"image.create": 1, "image.update": 2, "image.delete": 3}[event.type]

    return after_commit


def lie_of_misspelling() -> Callable[..., Any]:
    def after_comit(events: Any) -> None:
        """Hear nothing."""

    return after_comit


def lie_of_wanting_more() -> Callable[..., Any]:
    def after_commit(events: Any, request: Any) -> None:
        """Want to know who asked."""

    return after_commit


def lie_of_counting() -> Callable[..., Any]:
    heard: set[Any] = set()

    def after_commit(events: Any) -> None:
        for event in events:
            if event.position in heard:
                raise ValueError("heard before")
        heard.update(event.position for event in events if len(events) == 4)

    return after_commit


def lie_of_failing() -> Callable[..., Any]:
    def register_periodic_tasks() -> list[PeriodicTask]:
        raise RuntimeError("not today")

    return register_periodic_tasks


def lie_of_choosing(answer: Any) -> Callable[..., Any]:
    def choose_store(image: Any) -> Any:
        return answer

    return choose_store


def lie_of_measuring() -> Callable[..., Any]:
    def choose_store(size: Any, stores: Any) -> Any:
        return stores.takers[0].id if size < 1 << 30 else None

    return choose_store


def lie_of_mumbling() -> Callable[..., Any]:
    def should_cache(image: Any) -> Any:
        return image.size or ""

    return should_cache


class Unexplained(Plugin):
    options = (StrOpt("address"),)


class Homeless(Plugin):
    section = ""


TASK = PeriodicTask(name="look", interval=60, run=list)

LIARS = [
    ("test_h01_it_says_what_it_was_written_for", module(after_commit, api_level=99)),
    ("test_h01_it_says_what_it_was_written_for", module(after_commit, api_level="1")),
    ("test_h02_its_listeners_are_of_hooks_that_there_are", module()),
    ("test_h02_its_listeners_are_of_hooks_that_there_are", module(lie_of_misspelling())),
    ("test_h02_its_listeners_are_of_hooks_that_there_are", module(lie_of_wanting_more())),
    ("test_h03_it_takes_all_that_it_may_be_told", module(lie_of_knowing_all())),
    ("test_h04_it_may_be_told_twice", module(lie_of_counting())),
    ("test_h05_its_periodic_tasks_are_some", module(lie_of_tasks(TASK, TASK))),
    ("test_h05_its_periodic_tasks_are_some", module(lie_of_failing())),
    (
        "test_h05_its_periodic_tasks_are_some",
        module(lie_of_tasks(PeriodicTask(name="look", interval=0, run=list))),
    ),
    (
        "test_h06_it_chooses_a_store_that_can_take_the_image",
        module(lie_of_choosing("no such store")),
    ),
    ("test_h06_it_chooses_a_store_that_can_take_the_image", module(lie_of_choosing(True))),
    ("test_h06_it_chooses_a_store_that_can_take_the_image", module(lie_of_measuring())),
    ("test_h07_whether_to_cache_is_a_clear_answer", module(lie_of_mumbling())),
    ("test_h08_its_options_say_what_they_mean", Unexplained()),
    ("test_h08_its_options_say_what_they_mean", Homeless()),
]


@pytest.mark.parametrize(("caught_by", "liar"), LIARS, ids=[name for name, _ in LIARS])
def test_every_liar_is_caught(caught_by: str, liar: Any) -> None:
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        getattr(HooksConformance(), caught_by)(liar)
    assert not isinstance(caught.value, pytest.skip.Exception)


def test_every_test_catches_a_liar() -> None:
    asked = {name for name in vars(HooksConformance) if name.startswith("test_h")}
    assert asked == {name for name, _ in LIARS}


def test_every_hook_is_asked_by_a_kit() -> None:
    testing = Path(__file__).parents[2] / "glancekit/testing"
    kits = "".join((testing / name).read_text() for name in ("hooks.py", "commands.py"))
    hooks = {name for name, one in vars(hookspecs).items() if hasattr(one, "glancekit_spec")}
    assert hooks
    assert not {hook for hook in hooks if f"hooks.{hook}(" not in kits and f'"{hook}"' not in kits}
