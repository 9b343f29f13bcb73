# SPDX-License-Identifier: Apache-2.0
"""Times the first page and one from the middle of each list, in databases of several sizes.

Besides: showing an image, its members, a project's usage, a reservation.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks.listing.backends import BACKENDS
from benchmarks.listing.cases import cases
from benchmarks.listing.deeds import DEEDS, WRITING
from benchmarks.listing.filling import fill
from glancekit.plugin import ImageQuery, MetadataDriver, UnitOfWork

Asked = Callable[[UnitOfWork], int]
"""Asks something, and returns how much was found."""

SLOW = 0.1
"""Seconds from which a page is measured a few times only."""


def main() -> None:
    """Fill, measure, print."""
    options = _options()
    sizes = [int(size) for size in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as opened:
        folder = Path(options.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = [_filled(folder, size) for size in sizes]
        backend = opened.enter_context(BACKENDS[options.backend]())
        drivers = [opened.enter_context(closing(backend.open(path))) for path in paths]
        _print_row(f"milliseconds, {options.backend}", [f"{size:,}" for size in sizes])
        for name, asked in (*_pages(paths), *_deeds(paths)):
            if options.only in name:
                times = _time(drivers, asked, options.repeat, read_only=name not in WRITING)
                _print_times(name, times)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.listing", description=__doc__)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="numbers of images")
    parser.add_argument("--repeat", type=int, default=200, help="measurements of each page")
    parser.add_argument("--keep", help="folder in which databases are kept for the next run")
    parser.add_argument("--backend", default="sqlite", choices=BACKENDS, help="which database")
    parser.add_argument("--only", default="", help="measure what has this in its name")
    return parser.parse_args()


def _filled(folder: Path, size: int) -> Path:
    path = folder / f"{size}.sqlite"
    begun = time.monotonic()
    fill(path, size)
    seconds, size_in_mib = time.monotonic() - begun, path.stat().st_size >> 20
    print(f"{size:,} images: filled in {seconds:.0f} s, {size_in_mib} MiB", flush=True)
    return path


def _pages(paths: list[Path]) -> Iterator[tuple[str, list[Asked]]]:
    """Yield the first page and one from the middle of each case, a query for each database."""
    middles = [_middles(path) for path in paths]
    for name, query in cases():
        yield f"{name}: first page", [_page(query)] * len(paths)
        column = query.sort[0].column
        behind = [replace(query, marker=middle[column]) for middle in middles]
        yield f"{name}: middle", [_page(query) for query in behind]


def _page(query: ImageQuery) -> Asked:
    return lambda work: len(work.images.find(query).images)


def _deeds(paths: list[Path]) -> Iterator[tuple[str, list[Asked]]]:
    """Yield what else is asked, of an image from about the middle."""
    middles = [_middles(path)["created_at"] for path in paths]
    for name, deed in DEEDS.items():
        yield name, [deed(image_id) for image_id in middles]


def _middles(path: Path) -> dict[str, str]:
    """Return for each sort key the id of a public image from about the middle of its order.

    Everybody may name it as a marker, whether their query shows it or not.
    """
    with closing(sqlite3.connect(path)) as database:
        return {
            column: database.execute(
                f"SELECT id FROM images WHERE visibility = 'public' AND {column} >= {middle} "
                f"ORDER BY {column} LIMIT 1"
            ).fetchone()[0]
            for column, middle in (
                ("created_at", "(SELECT avg(created_at) FROM images)"),
                ("updated_at", "(SELECT avg(updated_at) FROM images)"),
                ("name", "'image-4'"),
            )
        }


def _time(
    drivers: list[MetadataDriver], asked: list[Asked], repeat: int, *, read_only: bool
) -> list[tuple[float, int]]:
    """Return for each database the median seconds of asking, and how much was found.

    The databases take turns, so that a machine that is slow for a while is slow for all of them.
    """
    times: list[list[float]] = [[] for _ in drivers]
    lengths = [0] * len(drivers)
    for round_ in range(repeat):
        for place, (driver, ask) in enumerate(zip(drivers, asked, strict=True)):
            begun = time.perf_counter()
            with driver.unit_of_work(read_only=read_only) as work:
                lengths[place] = ask(work)
            times[place].append(time.perf_counter() - begun)
        if round_ >= 3 and any(taken[-1] > SLOW for taken in times):
            break
    medians = map(statistics.median, times)
    return list(zip(medians, lengths, strict=True))


def _print_times(name: str, times: list[tuple[float, int]]) -> None:
    """Print milliseconds, in brackets the ratio to the first database, and images if not 25."""
    smallest = times[0][0]
    cells = [
        f"{seconds * 1e3:.2f} ({seconds / smallest:.2f})" + ("" if images == 25 else f" /{images}")
        for seconds, images in times
    ]
    _print_row(name, cells)


def _print_row(name: str, cells: list[str]) -> None:
    print(f"{name:58}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
