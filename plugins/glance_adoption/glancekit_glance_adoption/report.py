# SPDX-License-Identifier: Apache-2.0
"""What came of it, for people and for programs. Finding out is not its business."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import click
from rich import box
from rich.console import Console
from rich.table import Table

from glancekit_glance_adoption.findings import Findings

EXAMPLES = 3
"""How many things a finding names for people; programs get them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was read and written, and what is not as it was."""

    database: str
    configuration: str
    is_new: bool
    counts: Mapping[str, Mapping[str, int]]
    findings: Findings
    ignored: Sequence[Mapping[str, str]] = ()
    unusable: Sequence[str] = ()

    def show(self, shape: str) -> None:
        """Write it down."""
        if shape == "json":
            self._for_programs()
        else:
            self._for_people()

    def _for_programs(self) -> None:
        document = {
            "database": self.database,
            "configuration": self.configuration,
            "counts": self.counts,
            "findings": self.findings.rows(),
            "ignored_options": list(self.ignored),
            "unusable": list(self.unusable),
        }
        click.echo(json.dumps(document, indent=2))

    def _for_people(self) -> None:
        click.echo(f"Glance's database:  {self.database}")
        state = "new" if self.is_new else "as it is there"
        click.echo(f"glancekit's configuration:  {self.configuration} ({state})")
        for heading, counts in self.counts.items():
            said = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
            click.echo(f"{heading.capitalize()}:  {said}")
        if rows := self.findings.rows():
            click.echo("\nWhat is not as it was:")
            table(
                ("about", "count", "what becomes of it", "for example"),
                [
                    (row["about"], row["count"], _marked(row), _examples(row["things"]))
                    for row in rows
                ],
            )
        else:
            click.echo("Everything carries over as it is.")
        if self.unusable:
            click.echo(
                "\nParts of that configuration cannot be used, so their options are left out:"
            )
            for sentence in self.unusable:
                click.echo(f"  {sentence}")
        if self.ignored:
            click.echo("\nOptions that do nothing here:")
            table(("option", "why"), [(row["option"], row["why"]) for row in self.ignored])


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write rows in columns: folded on a terminal, as long as they are elsewhere."""
    is_terminal = sys.stdout.isatty()
    shown = Table(box=box.SIMPLE if is_terminal else None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*map(str, row))
    width = None if is_terminal else 10_000
    Console(width=width, markup=False, highlight=False).print(shown)


def _marked(row: Mapping[str, object]) -> str:
    return f"BLOCKS: {row['what']}" if row["blocking"] else str(row["what"])


def _examples(things: object) -> str:
    assert isinstance(things, list)
    more = ["..."] if len(things) > EXAMPLES else []
    return ", ".join([*things[:EXAMPLES], *more])
