# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks``: measure the service on this machine and print one table.

Two have commands of their own: the lists at a thousand to a million images, and the media beside
their own tools: ``python -m benchmarks.listing``, ``python -m benchmarks.media``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import caching, requests, startup, transfers
from benchmarks.report import Row, table

PARTS = ("startup", "requests", "transfers", "caching")


def main() -> int:
    """Measure what was chosen; 1 when an aim was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}")
    parser.add_argument("--size", type=int, default=2048, help="MiB to transfer (2048)")
    parser.add_argument("--rounds", type=int, default=3, help="of each transfer and start (3)")
    parser.add_argument("--seconds", type=int, default=8, help="of each request rate (8)")
    parser.add_argument("--readers", type=int, default=200, help="slow ones (200)")
    parser.add_argument("--folder", help="where to work; it should be on a real disk")
    chosen = parser.parse_args()
    measures: dict[str, Callable[[Path], Iterator[Row]]] = {
        "startup": lambda folder: startup.run(folder, rounds=chosen.rounds),
        "requests": lambda folder: requests.run(
            folder, seconds=chosen.seconds, readers=chosen.readers
        ),
        "transfers": lambda folder: transfers.run(
            folder, size=chosen.size << 20, rounds=chosen.rounds
        ),
        "caching": lambda folder: caching.run(
            folder, size=chosen.size << 20, rounds=chosen.rounds
        ),
    }
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for part in chosen.parts or PARTS:
        rows += measure(measures[part], chosen.folder)
        print(f"{part} done", file=sys.stderr)
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def measure(part: Callable[[Path], Iterator[Row]], place: str | None) -> list[Row]:
    """Run one part in a folder of its own, which stays only if something fails."""
    folder = Path(tempfile.mkdtemp(prefix="glancekit-bench-", dir=place))
    try:
        rows = list(part(folder))
    except BaseException:
        print(f"what it left is in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    return rows


if __name__ == "__main__":
    sys.exit(main())
