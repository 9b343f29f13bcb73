# SPDX-License-Identifier: Apache-2.0
"""How far it is, on a terminal; silent elsewhere. What is being done is not its business."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Tally(Protocol):
    """Is told how many more of a kind are done."""

    def __call__(self, kind: str, more: int) -> None:
        """Know that so many more are done."""
        ...


def untold(kind: str, more: int) -> None:
    """Tell nobody."""


@contextmanager
def bars(title: str, totals: Mapping[str, int | None]) -> Iterator[Tally]:
    """Show a bar for each kind of things, on the error output where that is a terminal.

    :param totals: how many there are of each kind, None where that is not known.
    """
    if not sys.stderr.isatty():
        yield untold
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks = {
            kind: progress.add_task(f"{title}: {kind}", total=total)
            for kind, total in totals.items()
        }
        yield lambda kind, more: progress.advance(tasks[kind], more)
