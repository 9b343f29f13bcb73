# SPDX-License-Identifier: Apache-2.0
"""How far a run is, on a terminal. What is being done is not its business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bars:
    """Whom to tell of bytes, and that an image is done with."""

    moved: Callable[[str, int], None]
    tick: Callable[[], None]


Shown = Callable[[int, int], AbstractContextManager[Bars]]
"""Takes how many bytes and images there will be."""


@contextmanager
def unseen(volume: int, images: int) -> Iterator[Bars]:
    """Show nothing."""
    yield Bars(lambda direction, count: None, lambda: None)


@contextmanager
def seen(volume: int, images: int) -> Iterator[Bars]:
    """Show bars for bytes in either direction and for images, on the error output."""
    from rich import progress as rich
    from rich.console import Console

    columns: tuple[Any, ...] = (
        rich.TextColumn("{task.description}"),
        rich.BarColumn(),
        rich.TextColumn("{task.fields[shown]}"),
        rich.TimeRemainingColumn(),
    )
    with rich.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {
            name: bars.add_task(name, total=volume, shown="") for name in ("received", "sent")
        }
        done = bars.add_task("images", total=images, shown=f"0/{images}")

        def moved(direction: str, count: int) -> None:
            bars.advance(tasks[direction], count)
            task = next(task for task in bars.tasks if task.id == tasks[direction])
            rate = (task.speed or 0) / 2**20
            text = f"{task.completed / 2**20:.1f}/{volume / 2**20:.1f} MiB {rate:.1f} MiB/s"
            bars.update(tasks[direction], shown=text)

        def tick() -> None:
            bars.advance(done)
            task = next(task for task in bars.tasks if task.id == done)
            bars.update(done, shown=f"{int(task.completed)}/{images}")

        yield Bars(moved, tick)
