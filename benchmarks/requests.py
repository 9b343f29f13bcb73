# SPDX-License-Identifier: Apache-2.0
"""Short requests: how many a second, for how much processor time, and beside slow downloads.

Upstream's figures come from 2 processes that filled 2 cores of the same kind, so a second of
theirs is two seconds of processor.
"""

from __future__ import annotations

import http.client
import re
import selectors
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import transfers
from benchmarks.report import Row
from benchmarks.running import Service, service

UPSTREAM = {"show": 267.0, "list": 79.0}
UPSTREAM_CORES = 2
TIMES = 10


def run(folder: Path, *, seconds: int, readers: int) -> Iterator[Row]:
    """Measure rates, then answers beside slow readers."""
    with service(folder / "data", "--workers", "2") as running:
        ids = [running.create_image(f"image {number}") for number in range(100)]
        yield from _rate(running, "show", f"/v2/images/{ids[0]}", seconds)
        yield from _rate(running, "list", "/v2/images", seconds)
        yield from _beside_slow_readers(running, folder, readers)


def _rate(running: Service, what: str, path: str, seconds: int) -> Iterator[Row]:
    wrk(running.url + path, 2)
    before = running.cpu_seconds()
    rate = wrk(running.url + path, seconds)
    used = running.cpu_seconds() - before
    for name, ours, theirs in (
        (f"{what}, requests/s", rate, UPSTREAM[what]),
        (
            f"{what}, requests for a second of CPU",
            rate * seconds / used,
            UPSTREAM[what] / UPSTREAM_CORES,
        ),
    ):
        yield Row(
            what=name,
            measured=f"{ours:.0f}",
            beside=f"{theirs:.0f} (upstream)",
            ratio=ours / theirs,
            aim=f">= {TIMES}",
            reached=ours >= TIMES * theirs,
        )


def wrk(url: str, seconds: int) -> float:
    """Requests a second over sixty-four connections, every one answered well.

    As many as keep two processes busy: with fewer, what is measured is the way to and fro.
    """
    said = subprocess.run(
        ["wrk", "-t1", "-c64", f"-d{seconds}s", url], check=True, capture_output=True, text=True
    ).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return float(re.findall(r"Requests/sec:\s*([\d.]+)", said)[0])


def _beside_slow_readers(running: Service, folder: Path, readers: int) -> Iterator[Row]:
    source = folder / "large"
    transfers.make_source(source, 256 << 20)
    image_id = transfers.upload(running, source)
    alone = list_times(running)
    with slow_readers(running, image_id, readers) as moved:
        beside = list_times(running)
    if len(moved) < readers:
        raise RuntimeError(f"only {len(moved)} of {readers} slow readers got something")
    yield Row(
        what=f"p99 of GET /v2/images beside {readers} slow readers",
        measured=f"{_p99(beside) * 1000:.1f} ms",
        beside=f"{_p99(alone) * 1000:.1f} ms without",
        ratio=_p99(beside) / _p99(alone),
    )
    yield Row(
        what="the median of the same",
        measured=f"{statistics.median(beside) * 1000:.1f} ms",
        beside=f"{statistics.median(alone) * 1000:.1f} ms without",
        ratio=statistics.median(beside) / statistics.median(alone),
    )


def list_times(running: Service, count: int = 500) -> list[float]:
    """The seconds of one list after another, each over a connection of its own."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        connection.request("GET", "/v2/images")
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"GET /v2/images: {answer.status}")
        times.append(time.perf_counter() - begun)
    return times


@contextmanager
def slow_readers(running: Service, image_id: str, count: int) -> Iterator[set[int]]:
    """Download many times at once, 4 KiB every tenth of a second each; tell who got something."""
    request = f"GET /v2/images/{image_id}/file HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    selector, moved, over = selectors.DefaultSelector(), set[int](), threading.Event()
    sockets = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.connect(("127.0.0.1", running.port))
        sock.sendall(request)
        selector.register(sock, selectors.EVENT_READ)
        sockets.append(sock)

    def read() -> None:
        while not over.wait(0.1):
            for key, _ in selector.select(0):
                piece = key.fileobj.recv(4096)  # type: ignore[union-attr]
                if not piece or (key.fd not in moved and b" 200 OK" not in piece):
                    return
                moved.add(key.fd)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(moved) < count and time.monotonic() < deadline and thread.is_alive():
            time.sleep(0.05)
        yield moved
    finally:
        over.set()
        thread.join()
        for sock in sockets:
            sock.close()


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]
