# SPDX-License-Identifier: Apache-2.0
"""What came of a run, written for people or for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from glancekit_site_replication.running import FAILED, Outcome, Report, is_left_alone

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: enough that no line is folded."""


def write(report: Report, shape: str) -> None:
    """Write a report to the standard output.

    :param shape: ``table``, without images about which there is nothing to say, or ``json``.
    """
    outcomes = sorted(report.outcomes, key=lambda outcome: outcome.finding.id)
    if shape == "json":
        click.echo(json.dumps(_content(report, outcomes), indent=1))
        return
    shown = [o for o in outcomes if o.done or o.error or not is_left_alone(o.finding)]
    if shown:
        _table(["image", "name", "is", "what"], [_row(outcome) for outcome in shown])
    click.echo(str(report))
    if report.moved:
        moved = " and ".join(f"{count} bytes {way}" for way, count in report.moved.items())
        click.echo(f"{moved}.")


def write_size(sums: Mapping[str, Any], shape: str) -> None:
    """Write how much there is."""
    if shape == "json":
        click.echo(json.dumps(sums, indent=1))
        return
    rows = [
        [name, str(of["images"]), str(of["bytes"])] for name, of in sums["by_visibility"].items()
    ]
    rows.append(["all", str(sums["images"]), str(sums["bytes"])])
    _table(["visibility", "images", "bytes"], rows)
    if sums["without_data"]:
        click.echo(f"{sums['without_data']} of them have no data yet.")


def _content(report: Report, outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "source": report.source,
        "target": report.target,
        "counts": report.counts(),
        "bytes": {way: report.moved.get(way, 0) for way in ("received", "sent")},
        "images": [
            {
                "id": outcome.finding.id,
                "name": outcome.finding.name,
                "state": str(outcome.finding.state),
                "fields": list(outcome.finding.fields),
                "done": FAILED if outcome.error else outcome.done,
                "detail": outcome.detail,
            }
            for outcome in outcomes
        ],
    }


def _row(outcome: Outcome) -> list[str]:
    finding = outcome.finding
    state = FAILED if outcome.error else str(finding.state)
    return [finding.id, finding.name or "", state, outcome.detail]


def _table(titles: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        # What another site calls its images may have more in it than letters.
        table.add_row(*(Text("".join(filter(str.isprintable, cell))) for cell in row))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(file=sys.stdout, width=width).print(table)
