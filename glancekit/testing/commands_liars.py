# SPDX-License-Identifier: Apache-2.0
"""Modules of commands that break one promise each, and the test that must catch each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import click

from glancekit.plugin import API_LEVEL, ConfigError, Invalid, StrOpt, hookimpl
from glancekit.testing.commands import Typed

OPTIONS = (StrOpt("name", default="nobody", help="Who is greeted."),)

EXAMPLES = (
    Typed("greet hello", says="hello nobody"),
    Typed("greet hello --name Ada", says="hello Ada"),
    Typed("greet hello --name ''", code=1, says="a name"),
    Typed("greet nobody-knows-this", code=2),
)
"""What an honest module's commands do."""


def module(register_commands: Callable[..., Any], **facts: Any) -> ModuleType:
    """Make the module that an entry point names."""
    made = ModuleType("acme_commands")
    named = {"register_commands": hookimpl(register_commands)}
    vars(made).update({"api_level": API_LEVEL} | named | facts)
    return made


def greeting(read: Callable[[], str], *, help: str | None = "Who it is.") -> click.Group:
    """Return a group ``greet`` with a command in it."""

    @click.group()
    def greet() -> None:
        """Greet people."""

    @greet.command()
    @click.option("--name", help=help)
    def hello(name: str | None) -> None:
        """Say hello."""
        if name is None:
            name = read()
        if not name:
            raise Invalid("give a name")
        click.echo(f"hello {name}")

    return greet


def honest(read_section: Callable[[str, Sequence[Any]], Any]) -> list[click.Command]:
    """Offer ``greet``, which reads the configuration when it has to."""
    return [greeting(lambda: str(read_section("acme", OPTIONS).name))]


def _wants_the_world(read_section: Any, world: Any) -> list[click.Command]:
    return honest(read_section)


def _offers_nothing() -> list[click.Command]:
    return []


def _offers_another_name(read_section: Any) -> list[click.Command]:
    (greet,) = honest(read_section)
    greet.name = "salute"
    return [greet]


def _offers_a_function() -> list[Any]:
    return [print]


def _reads_at_once(read_section: Any) -> list[click.Command]:
    name = read_section("acme", OPTIONS).name
    return [greeting(lambda: str(name))]


def _opens_the_records_for_help(read_section: Any, workbench: Any) -> list[click.Command]:
    (greet,) = honest(read_section)

    class Late(click.Command):
        def get_help(self, ctx: click.Context) -> str:
            workbench.configuration()
            return super().get_help(ctx)

    return [Late("greet", callback=lambda: None, help=greet.help)]


def _explains_no_option(read_section: Any) -> list[click.Command]:
    return [greeting(lambda: str(read_section("acme", OPTIONS).name), help=None)]


def _explains_nothing(read_section: Any) -> list[click.Command]:
    (greet,) = honest(read_section)
    greet.help = None
    return [greet]


def _fails_in_a_way_of_its_own(read_section: Any) -> list[click.Command]:
    known: dict[str, str] = {}
    return [greeting(lambda: known["name"])]


def _says_that_it_went_well(read_section: Any) -> list[click.Command]:
    class Forgiving(click.Group):
        def invoke(self, ctx: click.Context) -> Any:
            try:
                return super().invoke(ctx)
            except (Invalid, click.UsageError) as error:
                click.echo(str(error))

    (greet,) = honest(read_section)
    assert isinstance(greet, click.Group)
    return [Forgiving("greet", commands=greet.commands, help=greet.help)]


def _goes_on_without_configuration(read_section: Any) -> list[click.Command]:
    def read() -> str:
        try:
            return str(read_section("acme", OPTIONS).name)
        except ConfigError:
            return "nobody"

    return [greeting(read)]


LIARS: Sequence[tuple[str, str, ModuleType]] = (
    (
        "of another level",
        "test_co01_it_says_what_it_was_written_for",
        module(honest, api_level=99),
    ),
    (
        "wants the world",
        "test_co02_it_offers_commands_and_asks_for_no_more_than_there_is",
        module(_wants_the_world),
    ),
    (
        "offers nothing",
        "test_co02_it_offers_commands_and_asks_for_no_more_than_there_is",
        module(_offers_nothing),
    ),
    (
        "offers another name",
        "test_co03_there_is_one_for_each_entry_point",
        module(_offers_another_name),
    ),
    (
        "offers a function",
        "test_co03_there_is_one_for_each_entry_point",
        module(_offers_a_function),
    ),
    ("reads at once", "test_co04_nothing_is_read_before_a_command_runs", module(_reads_at_once)),
    (
        "opens the records for help",
        "test_co04_nothing_is_read_before_a_command_runs",
        module(_opens_the_records_for_help),
    ),
    ("explains no option", "test_co05_each_says_what_it_is_for", module(_explains_no_option)),
    ("explains nothing", "test_co05_each_says_what_it_is_for", module(_explains_nothing)),
    (
        "fails in a way of its own",
        "test_co07_a_line_ends_as_it_is_said",
        module(_fails_in_a_way_of_its_own),
    ),
    (
        "says that it went well",
        "test_co07_a_line_ends_as_it_is_said",
        module(_says_that_it_went_well),
    ),
    (
        "goes on without configuration",
        "test_co08_a_configuration_that_cannot_be_read_is_told",
        module(_goes_on_without_configuration),
    ),
)
"""All of them: what is wrong, the test that has to find it, the module."""
