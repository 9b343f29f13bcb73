# SPDX-License-Identifier: Apache-2.0
"""The kit for commands itself: who is honest passes it, and every liar is caught by its test."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from glancekit.testing import CommandsConformance, Typed
from glancekit.testing.commands import typed
from glancekit.testing.commands_liars import EXAMPLES, LIARS, honest, module

HONEST = module(honest)


class OfGreetings(CommandsConformance):
    names = ("greet",)
    examples = EXAMPLES


class TestHonest(OfGreetings):
    @pytest.fixture
    def plugin(self) -> ModuleType:
        return HONEST


class TestConfigured(CommandsConformance):
    """What the configuration says comes to the command."""

    names = ("greet",)
    examples = (Typed("greet hello", says="hello Grace"),)

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return HONEST

    @pytest.fixture
    def configuration(self) -> str:
        return "[acme]\nname = Grace\n"


def caught(test_name: str, plugin: ModuleType, folder: Path) -> None:
    """Run one test of the kit on a module."""
    kit = OfGreetings()
    file = folder / "commands.conf"
    file.write_text(f"[DEFAULT]\ndata_dir = {folder / 'data'}\n")
    given: dict[str, Any] = {
        "plugin": plugin,
        "run": lambda line: typed(plugin, line, file),
        "tmp_path": folder,
    }
    test = getattr(kit, test_name)
    test(**{name: given[name] for name in inspect.signature(test).parameters})


@pytest.mark.parametrize(
    ("test_name", "liar"),
    [(test_name, liar) for _, test_name, liar in LIARS],
    ids=[lie.replace(" ", "-") for lie, _, _ in LIARS],
)
def test_every_liar_is_caught(test_name: str, liar: ModuleType, tmp_path: Path) -> None:
    caught(test_name, HONEST, tmp_path)
    with pytest.raises((Exception, pytest.fail.Exception)) as found:
        caught(test_name, liar, tmp_path)
    assert not isinstance(found.value, pytest.skip.Exception)


def test_every_test_that_asks_something_of_a_module_catches_a_liar() -> None:
    asked = {name for name in vars(CommandsConformance) if name.startswith("test_co")}
    assert asked - {name for _, name, _ in LIARS} == {"test_co06_examples_are_given"}


def test_examples_are_insisted_upon() -> None:
    with pytest.raises(AssertionError, match="examples"):
        CommandsConformance().test_co06_examples_are_given()
