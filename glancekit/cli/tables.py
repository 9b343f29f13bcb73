# SPDX-License-Identifier: Apache-2.0
"""Rows for people or for programs: a table on a terminal, one line a row in a pipe, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: enough that no line is cut or folded."""


def format_option(command: F) -> F:
    """Let a command take ``-f table`` or ``-f json``."""
    return click.option(
        "-f",
        "--format",
        "shape",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to write it.",
    )(command)


def show(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], shape: str) -> None:
    """Write rows that have these columns."""
    if shape == "json":
        picked = [{column: row[column] for column in columns} for row in rows]
        click.echo(json.dumps(picked, indent=2, default=str))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    is_terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE if is_terminal else None, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    width = None if is_terminal else PIPE_WIDTH
    Console(width=width, markup=False, highlight=False).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
