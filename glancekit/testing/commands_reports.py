# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a module of commands on request (reports.py). Promises are commands'."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner

from glancekit.plugin import hookimpl
from glancekit.testing import reports
from glancekit.testing.reports import Figure, rate

Offer = Callable[[Any], Sequence[click.Command]]


class Plain:
    """Offers a command that does nothing."""

    api_level: ClassVar[int] = 1

    @hookimpl
    def register_commands(self) -> list[click.Command]:
        """Offer it."""
        return [click.Command("nothing", callback=lambda: None, help="Do nothing.")]


class CommandsReports:
    """Prints what can be typed, and how soon there is an answer, when it is asked for."""

    def test_report_table(
        self,
        plugin: Any,
        leaves: Callable[[Any], Sequence[tuple[str, click.Command]]],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """For the README of the plugin."""
        reports.wanted("table")
        rows = [
            (f"``glancekit {typed}``", command.get_short_help_str(limit=80))
            for typed, command in leaves(plugin)
        ]
        table = reports.table(("command", "what it does"), rows)
        reports.show(capsys, "Capabilities\n------------", table)

    def test_report_speed(
        self, plugin: Any, offered: Offer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """How often the commands can be offered, and the first one's help shown, in a second.

        The module was imported before: that is once for each line that is typed.
        """
        reports.wanted("speed")
        lines = reports.beside(
            _figures(plugin, offered), _figures(Plain(), offered), other="plain command"
        )
        reports.show(capsys, "Speed", lines)


def _figures(plugin: Any, offered: Offer) -> Iterator[Figure]:
    first = offered(plugin)[0]
    yield rate("offer the commands", lambda: offered(plugin))
    yield rate("--help", lambda: CliRunner().invoke(first, ["--help"]))
