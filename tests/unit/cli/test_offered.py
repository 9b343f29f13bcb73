# SPDX-License-Identifier: Apache-2.0
"""Commands that packages add: listed without being imported, left out when broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from glancekit.cli import cli, offered
from glancekit.core.errors import PluginError

Install = Callable[..., str]

SOUND = """
import click
from glancekit.plugin import StrOpt, hookimpl

api_level = 1

@hookimpl
def register_commands(read_section):
    @click.command()
    def greet():
        "Say hello."
        options = read_section("acme", [StrOpt("name", default="nobody")])
        click.echo(f"hello {options.name}")
    return [greet]
"""


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def test_a_package_adds_a_command(install: Install, tmp_path: Path) -> None:
    module = install("acme-greet", SOUND, {"glancekit.commands": {"greet": ""}})
    assert re.search(r"greet +From acme-greet\.", run("--help").output)
    assert module not in sys.modules
    assert "Say hello." in run("greet", "--help").output
    config = tmp_path / "acme.conf"
    config.write_text("[acme]\nname = world\n")
    assert run("--config-file", str(config), "greet").output == "hello world\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "no_such_module"),
        ("import sys; sys.exit(3)", "SystemExit"),
        (SOUND.replace("= 1", "= 99"), "API level 99"),
        (SOUND.replace("def register_commands", "def register_command"), "register_command"),
        (SOUND.replace("[greet]", "[]"), "returned no command 'greet'"),
        (SOUND.replace("[greet]", "7"), "TypeError"),
    ],
)
def test_a_broken_package_costs_its_own_command_only(
    install: Install, source: str, reason: str
) -> None:
    install("acme-greet", source, {"glancekit.commands": {"greet": ""}})
    with pytest.raises(PluginError, match=reason):
        run("greet")
    assert "greet" in run("--help").output
    assert run("stores", "--help").exit_code == 0


def test_what_the_service_itself_offers_cannot_be_taken_away(install: Install) -> None:
    install("acme-db", SOUND, {"glancekit.commands": {"db": ""}})
    output = run("--help").output
    assert "From acme-db." not in output
    assert "upgrade" in run("db", "--help").output


def test_what_nobody_offers_is_no_command() -> None:
    assert offered.load("nonsense", lambda section, options: None, cast(Any, None)) is None
    assert run("nonsense").exit_code == 2
