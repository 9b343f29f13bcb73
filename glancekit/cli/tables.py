# SPDX-License-Identifier: Apache-2.0
"""Rows for people or for programs, in the shapes that openstackclient has. Asking is a command's.

A table on a terminal, one line a row in a pipe; JSON, YAML, CSV, or bare values.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

Row = Mapping[str, Any]

PIPE_WIDTH = 10_000
"""Columns where there is no terminal: enough that no line is cut or folded."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows are to be written, and which columns of them (none: all), in this order."""

    format: str = "table"
    columns: tuple[str, ...] = ()


def format_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take ``-f FORMAT`` and ``-c COLUMN``; it gets a Shape as ``shape``."""

    @click.option(
        "-f",
        "--format",
        "format_",
        type=click.Choice(list(_WRITERS)),
        default="table",
        show_default=True,
        help="How to write it.",
    )
    @click.option(
        "-c",
        "--column",
        "columns",
        multiple=True,
        metavar="NAME",
        help="Write this column only; may be given several times. Default: all.",
    )
    @wraps(command)
    def with_shape(*given: Any, format_: str, columns: tuple[str, ...], **named: Any) -> Any:
        return command(*given, shape=Shape(format_, columns), **named)

    return with_shape


def show(columns: Sequence[str], rows: Sequence[Row], shape: Shape) -> None:
    """Write rows that have these columns.

    :raises click.UsageError: when a column is asked for that they do not have.
    """
    chosen = _chosen(columns, shape)
    _WRITERS[shape.format](chosen, [{name: row[name] for name in chosen} for row in rows])


def show_one(thing: Row, shape: Shape) -> None:
    """Write one thing: a table of its fields, a JSON or YAML object, a line for each value."""
    chosen = _chosen(tuple(thing), shape)
    picked = {name: thing[name] for name in chosen}
    if shape.format in ("json", "yaml"):
        _write_data(picked, shape.format)
    elif shape.format == "value":
        for value in picked.values():
            click.echo(_cell(value, nothing=""))
    elif shape.format == "csv":
        _write_csv(chosen, [picked])
    else:
        _write_table(
            ("field", "value"), [{"field": name, "value": picked[name]} for name in chosen]
        )


def _chosen(columns: Sequence[str], shape: Shape) -> Sequence[str]:
    """Return the wanted columns; a column may be named as its heading is written."""
    if not shape.columns:
        return columns
    known = {name.lower().replace("_", " "): name for name in columns}
    wanted = {name: known.get(name.lower().replace("_", " ")) for name in shape.columns}
    unknown = [name for name, found in wanted.items() if found is None]
    if unknown:
        raise click.UsageError(
            f"There is no column {unknown[0]!r}; the columns are: {', '.join(columns)}"
        )
    return [found for found in wanted.values() if found is not None]


def _write_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
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


def _write_csv(columns: Sequence[str], rows: Sequence[Row]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row[column], nothing="") for column in columns] for row in rows)


def _write_values(columns: Sequence[str], rows: Sequence[Row]) -> None:
    for row in rows:
        click.echo(" ".join(_cell(row[column], nothing="") for column in columns))


def _write_json(columns: Sequence[str], rows: Sequence[Row]) -> None:
    _write_data(list(rows), "json")


def _write_yaml(columns: Sequence[str], rows: Sequence[Row]) -> None:
    _write_data(list(rows), "yaml")


def _write_data(data: Any, format_: str) -> None:
    plain = json.dumps(data, indent=2, default=str, ensure_ascii=False)
    if format_ == "yaml":
        import yaml

        plain = yaml.safe_dump(json.loads(plain), sort_keys=False, allow_unicode=True).rstrip()
    click.echo(plain)


def _cell(value: Any, nothing: str = "-") -> str:
    if value is None:
        return nothing
    if isinstance(value, list | tuple):
        return ", ".join(_cell(part) for part in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(part)}" for name, part in value.items())
    return str(value)


_WRITERS: dict[str, Callable[[Sequence[str], Sequence[Row]], None]] = {
    "table": _write_table,
    "json": _write_json,
    "yaml": _write_yaml,
    "csv": _write_csv,
    "value": _write_values,
}
