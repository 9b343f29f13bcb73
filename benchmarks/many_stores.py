# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.many_stores``: what a store that hangs costs those who read elsewhere.

In one process, on memory stores, so that nothing else is measured. The rounds alternate.
"""

from __future__ import annotations

import contextlib
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from benchmarks.report import Row, table
from glancekit.core.breaker import Breaker
from glancekit.core.hooks import Hooks
from glancekit.core.lease import Lease
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Location
from glancekit.core.model.status import ImageStatus
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import CHUNK_SIZE, ByteStream, IteratorStream
from glancekit.services import data, images
from glancekit.services.builtins.no_auth import NoAuth
from glancekit.services.world import Settings, World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_metadata import MemoryMetadata

MIB = 1 << 20
SIZE = 1 << 30
HANG = 0.2
"""Seconds of the deadline: what each read would cost without a breaker."""

ROUNDS = 2000
SLOWER = 1.3
THROUGHPUT = 0.95
CALLER = Identity(user_id="u", project_id="p", roles=frozenset({"member", "reader", "admin"}))


class Endless(FaultyStore):
    """Has as many bytes as are asked for, at the cost of copying them once."""

    def open(self, location: Location) -> ByteStream:
        self._meet("open")
        return IteratorStream(bytes(bytearray(CHUNK_SIZE)) for _ in range(SIZE // CHUNK_SIZE))

    def size(self, location: Location) -> int | None:
        return SIZE

    def local_path(self, location: Location) -> Path | None:
        self._meet("local_path")
        return None


def main() -> int:
    """Measure and print; 1 when an aim was missed."""
    logging.disable(logging.CRITICAL)
    rows = [*run()]
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def run() -> Iterator[Row]:
    """Open the same image with and without a store that hangs; then read it."""
    light, heavy = Endless(name="light"), Endless(name="heavy")
    with world_of(light, heavy) as world:
        image_id = stored(world)
        alone = replace(world, stores=Stores([world.stores.get("light")], "light"))
        heavy.hang("local_path")
        waits = [timed(lambda: opened(world, image_id)) for _ in range(3)]
        yield Row(
            what="download begins, the heavier store hangs, first three",
            measured=f"{max(waits) * 1000:.0f} ms",
            beside=f"{HANG * 1000:.0f} ms deadline",
        )
        yield beginning(alone, world, image_id)
        yield throughput(light, world, image_id)
        heavy.heal()


def beginning(alone: World, world: World, image_id: str) -> Row:
    """Compare the moment until a download begins."""
    floor, found = [], []
    for _ in range(ROUNDS):
        floor.append(timed(lambda: opened(alone, image_id)))
        found.append(timed(lambda: opened(world, image_id)))
    ratio = statistics.median(found) / statistics.median(floor)
    return Row(
        what="download begins, the heavier store passed over",
        measured=f"{statistics.median(found) * 1e6:.0f} us",
        beside=f"{statistics.median(floor) * 1e6:.0f} us without that store",
        ratio=ratio,
        aim=f"<= {SLOWER}",
        reached=ratio <= SLOWER,
    )


def throughput(driver: Endless, world: World, image_id: str) -> Row:
    """Compare reading through guard and continuation with reading the driver's own stream."""
    floor, found = [], []
    for _ in range(5):
        floor.append(timed(lambda: drain(driver.open(Location(url="memory://light/x")))))
        found.append(timed(lambda: drain(data.download(world, CALLER, image_id, None).stream)))
    rate, beside = (SIZE / statistics.median(times) / MIB for times in (found, floor))
    return Row(
        what="a stream that can go on from another copy",
        measured=f"{rate:.0f} MiB/s",
        beside=f"{beside:.0f} MiB/s of the driver alone",
        ratio=rate / beside,
        aim=f">= {THROUGHPUT}",
        reached=rate / beside >= THROUGHPUT,
    )


@contextlib.contextmanager
def world_of(light: Endless, heavy: Endless) -> Iterator[World]:
    """Give a world of two stores, ``heavy`` the heavier one."""
    metadata = MemoryMetadata(None, name="memory")
    metadata.start()
    lease = Lease(metadata)
    lease.start()
    stores = [
        Store("light", light, is_default=True),
        Store("heavy", heavy, weight=10, deadline=HANG, breaker=Breaker(pause=3600)),
    ]
    try:
        yield World(
            metadata=metadata,
            stores=Stores(stores, "light"),
            auth=NoAuth(SimpleNamespace(), name="none"),
            hooks=Hooks(),
            lease=lease,
            staging=Path("/nonexistent"),
            settings=Settings(),
        )
    finally:
        lease.stop()


def stored(world: World) -> str:
    """Make an image with a copy in each store, which nobody looks for."""
    new = NewImage(disk_format="raw", container_format="bare")
    image = images.create(world, CALLER, new)
    source = IteratorStream(iter([b"x"]))
    data.upload(world, CALLER, image.id, source, size=1, store="light")
    with world.metadata.unit_of_work() as work:
        url = f"memory://heavy/{image.id}"
        work.locations.add(Location(url=url, store="heavy", image_id=image.id))
        large = replace(work.images.get(image.id), size=SIZE)
        work.images.save(large, expect_status={ImageStatus.ACTIVE})
        work.commit()
    return image.id


def opened(world: World, image_id: str) -> None:
    """Begin a download, and give it up."""
    stream = data.download(world, CALLER, image_id, None).stream
    assert stream is not None
    stream.close()


def drain(stream: ByteStream | None) -> None:
    """Read all of it."""
    assert stream is not None
    with stream:
        while stream.read(CHUNK_SIZE):
            pass


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())
