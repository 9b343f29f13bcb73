# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.keeping``: what rounds over all images cost, in databases of many sizes.

Placement: a round in which all rules are true already, so that nothing is copied. Orphans: a store
that has each image's data, and of one in a thousand more nobody has a record. Each round is a
process of its own; its memory is what it takes at most beyond what it has after a page.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

from benchmarks.listing.filling import fill, open_driver
from glancekit.core.contracts.store import Blob
from glancekit.core.errors import BlobNotFound
from glancekit.core.hooks import Hooks
from glancekit.core.lease import Lease
from glancekit.core.model.image import Location
from glancekit.core.stores import Store, Stores
from glancekit.plugin import MetadataDriver
from glancekit.services.builtins.no_auth import NoAuth
from glancekit.services.keeping.options import Placement
from glancekit.services.keeping.orphans import Look
from glancekit.services.keeping.placing import Keeper
from glancekit.services.keeping.rules import Rule
from glancekit.services.world import World
from glancekit.testing.memory_store import MemoryStore

RULES = (
    Rule(name="all", copies=1, stores=("file",)),
    Rule(name="public", copies=1, stores=("file",), visibilities=frozenset({"public"})),
)
STRAY = "ffffffff-ffff-4fff-8fff-{:012x}"
ONE_IN = 1000
LONG_AGO = datetime.now(UTC) - timedelta(days=30)


class Listed(MemoryStore):
    """A store that has the data of all images of a database, and some that are nobody's."""

    path: Path

    def contents(self) -> Iterator[Blob]:
        """Yield them, as they are read."""
        with closing(sqlite3.connect(self.path)) as database:
            for number, (image_id,) in enumerate(database.execute("SELECT id FROM images")):
                yield _blob(image_id)
                if number % ONE_IN == 0:
                    yield _blob(STRAY.format(number))

    def blob(self, location: Location) -> Blob:
        """Return one that is nobody's: of others it is not asked."""
        if not location.image_id.startswith(STRAY[:8]):
            raise BlobNotFound
        return _blob(location.image_id)


def _blob(image_id: str) -> Blob:
    return Blob(f"file:///images/{image_id}", image_id, 1 << 30, LONG_AGO)


def placement(path: Path) -> str:
    """Do a round of placement."""
    with closing(open_driver(path)) as metadata:
        settings = Placement(rules=lambda: RULES)
        world = replace(_world(metadata, MemoryStore(name="file")), placement=settings)
        return str(Keeper(world).run())


def orphans(path: Path) -> str:
    """Look through the store once."""
    with closing(open_driver(path)) as metadata:
        driver = Listed(name="file")
        driver.path = path
        world = _world(metadata, driver)
        look = Look(world, world.stores.default, timedelta(days=1))
        for _ in look.orphans():
            continue
        return f"{look.tally.orphans} of {look.tally.blobs}"


def _world(metadata: MetadataDriver, driver: MemoryStore) -> World:
    return World(
        metadata=metadata,
        stores=Stores([Store("file", driver)], "file"),
        auth=NoAuth(SimpleNamespace(), name="none"),
        hooks=Hooks(),
        lease=Lease(metadata),
        staging=Path("/nonexistent"),
    )


ROUNDS: dict[str, Callable[[Path], str]] = {"placement": placement, "orphans": orphans}


def measure(name: str, small: Path, path: Path) -> tuple[float, float, str]:
    """Return the seconds that a round takes, the MiB that it takes more than one over a small
    database did, and what it says."""
    ROUNDS[name](small)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the highest is counted from now on
    begun = time.perf_counter()
    said = ROUNDS[name](path)
    return time.perf_counter() - begun, (_memory("VmHWM") - before) / 1024, said


def _memory(field: str) -> int:
    """Return KiB that this process takes, now or at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.keeping", description=__doc__)
    parser.add_argument("--sizes", default="100000,1000000", help="numbers of images")
    parser.add_argument("--keep", help="folder in which databases are kept for the next run")
    parser.add_argument("--only", default="", choices=["", *ROUNDS], help="measure this alone")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(chosen.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        small = folder / "1000.sqlite"
        fill(small, 1000)
        for size in map(int, chosen.sizes.split(",")):
            path = folder / f"{size}.sqlite"
            fill(path, size)
            for name in ROUNDS:
                if chosen.only in ("", name):
                    _print(name, size, *_apart(name, small, path))


def _apart(name: str, small: Path, path: Path) -> tuple[float, float, str]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, name, small, path).result()


def _print(name: str, size: int, seconds: float, memory: float, said: str) -> None:
    print(
        f"{name:10} {size:>9,} images  {seconds:7.1f} s  {size / seconds:7.0f} images/s  "
        f"{memory:5.1f} MiB more  ({said})",
        flush=True,
    )


if __name__ == "__main__":
    main()
