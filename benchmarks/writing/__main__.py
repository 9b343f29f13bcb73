# SPDX-License-Identifier: Apache-2.0
"""Creates and updates images with 1, 8 and 64 clients at once, each commit being on the disk.

Clients are threads of up to eight processes, as in a service with that many workers. The floor is
one client's rate of the same run.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks.listing.backends import BACKENDS
from benchmarks.report import Row, table
from glancekit.plugin import Event, Image, MetadataDriver, MetadataUnavailable

PROCESSES = 8

Client = Callable[[], None]


def main() -> None:
    """Measure, print."""
    options = _options()
    for name in options.backend or BACKENDS:
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
            backend = opened.enter_context(BACKENDS[name]())
            driver = opened.enter_context(closing(backend.open_empty(folder)))
            clients = [int(count) for count in options.clients.split(",")]
            print(table(list(_rows(name, driver, clients, options.seconds))), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.writing", description=__doc__)
    parser.add_argument("--backend", action="append", choices=BACKENDS, help="all, if not said")
    parser.add_argument("--clients", default="1,8,64", help="how many at once")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each rate")
    parser.add_argument("--folder", help="where SQLite works; it should be on a real disk")
    return parser.parse_args()


def _rows(name: str, driver: MetadataDriver, clients: list[int], seconds: float) -> Iterator[Row]:
    for what, make in (("create", _creator), ("update", _updater)):
        alone = 0.0
        for count in clients:
            done, refused = _measure(driver, make, count, seconds)
            rate = done / seconds
            alone = alone or rate
            yield Row(
                what=f"{name}: {what}, {count} clients",
                measured=f"{rate:.0f}/s, {refused} refused",
                beside=f"{alone:.0f}/s with {clients[0]}",
                ratio=rate / alone if alone else None,
            )


def _measure(
    driver: MetadataDriver, make: Callable[[MetadataDriver], Client], count: int, seconds: float
) -> tuple[int, int]:
    """Return how many deeds were done and refused in so many seconds."""
    context = multiprocessing.get_context("fork")
    processes = min(count, PROCESSES)
    ready = context.Barrier(processes + 1)
    told, telling = context.Pipe(duplex=False)

    def work() -> None:
        telling.send(_work(driver, make, count // processes, ready.wait, seconds))
        driver.close()

    workers = [context.Process(target=work) for _ in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait()
    results = [told.recv() for _ in workers]
    for worker in workers:
        worker.join()
    return sum(done for done, _ in results), sum(refused for _, refused in results)


def _work(
    driver: MetadataDriver,
    make: Callable[[MetadataDriver], Client],
    threads: int,
    ready: Callable[[], object],
    seconds: float,
) -> tuple[int, int]:
    """Let the clients of one process begin together, and count what they do."""
    counts: list[tuple[int, int]] = []
    clients = [make(driver) for _ in range(threads)]
    begin = threading.Barrier(threads + 1)

    def run(client: Client) -> None:
        begin.wait()
        counts.append(_repeat(client, time.monotonic() + seconds))

    running = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in running:
        thread.start()
    ready()
    begin.wait()
    for thread in running:
        thread.join()
    return sum(done for done, _ in counts), sum(refused for _, refused in counts)


def _repeat(client: Client, until: float) -> tuple[int, int]:
    done = refused = 0
    while time.monotonic() < until:
        try:
            client()
        except MetadataUnavailable:
            refused += 1
        else:
            done += 1
    return done, refused


def _creator(driver: MetadataDriver) -> Client:
    owner = uuid.uuid4().hex

    def create() -> None:
        _create(driver, owner)

    return create


def _updater(driver: MetadataDriver) -> Client:
    """Each client changes an image of its own: nobody waits for a row, all for the outbox."""
    image_id = _create(driver, uuid.uuid4().hex)

    def update() -> None:
        with driver.unit_of_work() as work:
            image = work.images.get(image_id)
            changed = replace(image, min_ram=image.min_ram + 1)
            work.images.save(changed, expect_status={image.status})
            work.events.append(Event(type="image.update", subject=image_id))
            work.commit()

    return update


def _create(driver: MetadataDriver, owner: str) -> str:
    image = Image(
        id=str(uuid.uuid4()),
        owner=owner,
        name="measured",
        properties={"os_distro": "debian"},
        tags=frozenset({"production"}),
    )
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.events.append(Event(type="image.create", subject=image.id))
        work.commit()
    return image.id


if __name__ == "__main__":
    main()
