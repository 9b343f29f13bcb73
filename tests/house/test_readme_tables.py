# SPDX-License-Identifier: Apache-2.0
"""The tables of the plugins' READMEs, which the kit prints, say what is true of the drivers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
import pytest
from docutils import nodes
from docutils.core import publish_doctree

from glancekit.core import drivers, hookspecs
from glancekit.core.hooks import Hooks
from glancekit.core.hookspecs import Workbench
from glancekit.core.quota import Quota
from glancekit.core.survey import installed

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

OF_AUTH = ("loopback_only", "answers_at_once", "challenge", "service_roles", "read_only")
OF_METHODS = ("size", "version")
OF_STEPS = ("path", "digests")
"""What the kit finds out of a driver at work; here it is enough that it is told."""

OF_THE_COMMAND_LINE = "register_commands"


def tables_of(readme: Path) -> list[Table]:
    """Return all tables of a README: the words of the head, and those of each row."""
    tree = publish_doctree(readme.read_text(), settings_overrides={"report_level": 5})
    return [
        (
            [_text(entry) for head in table.findall(nodes.thead) for entry in _entries(head)],
            [
                [_text(entry) for entry in _entries(row)]
                for body in table.findall(nodes.tbody)
                for row in body.findall(nodes.row)
            ],
        )
        for table in tree.findall(nodes.table)
    ]


def _entries(node: nodes.Element) -> Iterator[nodes.Element]:
    yield from node.findall(nodes.entry)


def _text(node: nodes.Element) -> str:
    return " ".join(node.astext().split())


def claims(tables: Sequence[Table], driver: str) -> dict[str, set[str]]:
    """Return what the tables say of a driver by fact: more than one answer is a contradiction.

    A column or a row is the driver's own, or it is the column ``has`` where there is one driver.
    """
    found: dict[str, set[str]] = {}
    for head, rows in tables:
        for place in (place for place, word in enumerate(head) if word in ("has", driver)):
            for row in rows:
                found.setdefault(row[0], set()).add(row[place])
        for row in rows:
            if row[0] == driver:
                for fact, answer in zip(head[1:], row[1:], strict=True):
                    found.setdefault(fact, set()).add(answer)
    return found


def defaults(tables: Sequence[Table]) -> dict[str, set[str]]:
    """Return what the tables say is the default of each option, without what is said of it."""
    found: dict[str, set[str]] = {}
    for head, rows in tables:
        if list(head[:2]) == ["option", "default"]:
            for row in rows:
                found.setdefault(row[0], set()).add(row[1].partition(" (")[0])
    return found


def is_default(told: str, default: Any) -> bool:
    """Say whether a README's words for a default are right. Numbers may have their unit; what
    follows from something else where the option is not set is told in any words."""
    if default in (None, "", [], {}):
        return True
    if isinstance(default, bool):
        return told == str(default).lower()
    if isinstance(default, list):
        return sorted(told.split(", ")) == sorted(default)
    if isinstance(default, int | float):
        return told.split()[:1] == [f"{default:.15g}"]
    return told == str(default)


def facts_of(group: str, kind: Any) -> Mapping[str, bool | None]:
    """Return what is to be told of a driver; None where its class alone does not tell."""
    known = {
        capability.__name__: issubclass(kind, capability)
        for capability in drivers.KINDS[group].capabilities
    }
    further: dict[str, dict[str, bool | None]] = {
        drivers.AUTH: {
            **dict.fromkeys(OF_AUTH),
            "loopback_only": kind.loopback_only,
            "answers_at_once": kind.answers_at_once,
        }
        if group == drivers.AUTH
        else {},
        drivers.LIMITS: dict.fromkeys(quota.value for quota in Quota),
        drivers.IMPORT_METHODS: dict.fromkeys(OF_METHODS),
        drivers.IMPORT_STEPS: dict.fromkeys(OF_STEPS),
    }
    return {**known, **further.get(group, {})}


def entry_points(plugin: Path, metadata_of: Any) -> Iterator[tuple[str, str]]:
    config = metadata_of(plugin)
    if config.has_section("options.entry_points"):
        for group, lines in config["options.entry_points"].items():
            for line in lines.strip().splitlines():
                yield group, line.partition("=")[0].strip()


def test_every_group_is_known(plugin: Path, metadata_of: Any) -> None:
    groups = {group for group, _ in entry_points(plugin, metadata_of)}
    assert groups <= drivers.KINDS.keys() | {"console_scripts"}


def test_what_drivers_can_do_is_told(plugin: Path, metadata_of: Any) -> None:
    tables = tables_of(plugin / "README.rst")
    for group, name in entry_points(plugin, metadata_of):
        if group in (drivers.HOOKS, drivers.COMMANDS):
            continue
        kind = installed(group, deadline=30.0).get(name)
        if kind is None:
            pytest.skip(f"{name} of {group} cannot be loaded here")
        told = claims(tables, name)
        for fact, value in facts_of(group, kind).items():
            wanted = [{"yes"}, {"no"}] if value is None else [{"yes" if value else "no"}]
            assert told.get(fact) in wanted, f"{name}: {fact}"


def test_defaults_of_options_are_told(plugin: Path, metadata_of: Any) -> None:
    told = defaults(tables_of(plugin / "README.rst"))
    wrong = {}
    for group, name in entry_points(plugin, metadata_of):
        kind = installed(group, deadline=30.0).get(name)
        for option in getattr(kind, "options", ()):
            answers = told.get(option.name, set())
            if not all(is_default(answer, option.default) for answer in answers):
                wrong[option.name] = answers, option.default
    assert not wrong


def test_what_listeners_hear_is_told(plugin: Path, metadata_of: Any) -> None:
    tables = tables_of(plugin / "README.rst")
    source = "".join(path.read_text() for path in plugin.glob("glancekit_*/**/*.py"))
    for group, name in entry_points(plugin, metadata_of):
        if group == drivers.HOOKS:
            told = claims(tables, name)
            for hook in _hooks():
                hears = re.search(rf"@hookimpl.*\n\s*def {hook}\(", source)
                assert told.get(hook) == {"yes" if hears else "no"}, f"{name}: {hook}"


def test_what_can_be_typed_is_told(plugin: Path, metadata_of: Any) -> None:
    text = (plugin / "README.rst").read_text()
    for group, name in entry_points(plugin, metadata_of):
        if group == drivers.COMMANDS:
            module = installed(group, deadline=30.0)[name]
            for typed in _typed(module):
                assert f"glancekit {typed}" in text, typed


def _hooks() -> list[str]:
    marked = f"{hookspecs.PROJECT}_spec"
    hooks = [name for name, one in vars(hookspecs).items() if hasattr(one, marked)]
    return [name for name in hooks if name != OF_THE_COMMAND_LINE]


def _typed(module: Any) -> Iterator[str]:
    hooks = Hooks()
    hooks.add("commands", module)
    for command in hooks.register_commands(lambda section, options: None, cast(Workbench, None)):
        if not isinstance(command, click.Group):
            yield str(command.name)
            continue
        for name in command.commands:
            yield f"{command.name} {name}"
