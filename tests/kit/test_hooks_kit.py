# SPDX-License-Identifier: Apache-2.0
"""The kit for listeners itself: honest ones pass it, and every liar is caught by its test."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from glancekit.plugin import PeriodicTask, hookimpl
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


class TestHonest(HooksConformance):
    @pytest.fixture
    def listener(self) -> Any:
        return module(after_commit, register_periodic_tasks)


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
]


@pytest.mark.parametrize(("caught_by", "liar"), LIARS, ids=[name for name, _ in LIARS])
def test_every_liar_is_caught(caught_by: str, liar: ModuleType) -> None:
    with pytest.raises((Exception, pytest.fail.Exception)):
        getattr(HooksConformance(), caught_by)(liar)


def test_every_test_catches_a_liar() -> None:
    asked = {name for name in vars(HooksConformance) if name.startswith("test_h")}
    assert asked == {name for name, _ in LIARS}
