# SPDX-License-Identifier: Apache-2.0
"""Upload and download of one large image, each beside what the machine can do at all.

Upload's floor: md5 and sha512 on two threads, write and fsync of the same file. Download's: nginx
with sendfile. The rounds alternate, so that a busy moment of the machine hits both.
"""

from __future__ import annotations

import hashlib
import os
import queue
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.report import Row
from benchmarks.running import Service, free_port, service

MIB = 1 << 20
GROWTH_LIMIT = 32 * MIB


def run(folder: Path, *, size: int, rounds: int) -> Iterator[Row]:
    """Measure both ways."""
    source = folder / "source"
    make_source(source, size)
    with service(folder / "data") as running:
        warm_up(running, folder)
        yield from _uploads(running, folder, source, rounds)
        image_id = upload(running, source)
        yield from _downloads(running, source, image_id, rounds)


def make_source(path: Path, size: int) -> None:
    """Write bytes that nothing can compress, and have them in the page cache."""
    block = os.urandom(16 * MIB)
    with path.open("wb") as file:
        for offset in range(0, size, len(block)):
            file.write(block[: size - offset])
    os.sync()


def warm_up(running: Service, folder: Path) -> None:
    """Send something small first: what is imported at first use is not what we measure."""
    small = folder / "small"
    small.write_bytes(os.urandom(4 * MIB))
    for _ in range(4):
        image_id = upload(running, small)
        download(running.url + f"/v2/images/{image_id}/file")
        running.call("DELETE", f"/v2/images/{image_id}")


def _uploads(running: Service, folder: Path, source: Path, rounds: int) -> Iterator[Row]:
    ours, floor, growths = [], [], []
    for _ in range(rounds):
        floor.append(timed(lambda: digest_and_write(source, folder / "copy")))
        (folder / "copy").unlink()
        with running.watching_memory() as growth:
            begun = time.perf_counter()
            image_id = upload(running, source)
            ours.append(time.perf_counter() - begun)
        growths.append(growth[0])
        running.call("DELETE", f"/v2/images/{image_id}")
    size = source.stat().st_size
    yield speed("upload, beside digests + write + fsync", size, ours, floor, aim=0.85)
    yield _growth("memory growth in uploads", growths)


def _downloads(running: Service, source: Path, image_id: str, rounds: int) -> Iterator[Row]:
    ours, floor, growths = [], [], []
    with nginx(source.parent) as base:
        for _ in range(rounds):
            floor.append(timed(lambda: download(f"{base}/{source.name}")))
            with running.watching_memory() as growth:
                ours.append(timed(lambda: download(f"{running.url}/v2/images/{image_id}/file")))
            growths.append(growth[0])
    size = source.stat().st_size
    yield speed("download, beside nginx with sendfile", size, ours, floor, aim=0.9)
    yield _growth("memory growth in downloads", growths)


def upload(running: Service, source: Path) -> str:
    """Create an image and send its data as curl does it; return its id."""
    image_id = running.create_image("large")
    url = f"{running.url}/v2/images/{image_id}/file"
    _curl("-T", str(source), "-H", "Content-Type: application/octet-stream", url)
    return image_id


def download(url: str, to: BinaryIO | None = None) -> None:
    """Fetch with curl, into a file or pipe; without one throw away."""
    if to is None:
        _curl("-o", os.devnull, url)
    else:
        _curl(url, to=to)


def _curl(*arguments: str, to: BinaryIO | None = None) -> None:
    command = ["curl", "-sS", "--fail", "--noproxy", "*", *arguments]
    subprocess.run(command, stdout=to, check=True)


def timed(work: Callable[[], Any]) -> float:
    """The seconds that it takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def digest_and_write(source: Path, target: Path) -> None:
    """Do the least that a durable, digested upload has to do."""
    digests = [hashlib.md5(usedforsecurity=False), hashlib.sha512()]
    queues: list[queue.Queue[bytes]] = [queue.Queue(8) for _ in digests]

    def digest(number: int) -> None:
        while piece := queues[number].get():
            digests[number].update(piece)

    threads = [threading.Thread(target=digest, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    with source.open("rb", buffering=0) as incoming, target.open("wb", buffering=0) as outgoing:
        while piece := incoming.read(MIB):
            for each in queues:
                each.put(piece)
            outgoing.write(piece)
        for each in queues:
            each.put(b"")
        for thread in threads:
            thread.join()
        os.fsync(outgoing.fileno())


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """Serve a folder with nginx's sendfile on a free port."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise RuntimeError("nginx is not installed: apt-get install nginx-light")
    port = free_port()
    home = folder / "nginx"
    home.mkdir()
    (home / "conf").write_text(
        f"user {os.environ.get('USER') or 'root'};\n" * (os.geteuid() == 0)
        + f"daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 2;\n"
        + "events {}\n"
        + f"http {{ access_log off; sendfile on; tcp_nopush on; client_body_temp_path {home}/b; "
        + f"proxy_temp_path {home}/p; fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; "
        + f"scgi_temp_path {home}/s; "
        + f"server {{ listen 127.0.0.1:{port}; root {folder}; }} }}\n"
    )
    process = subprocess.Popen(
        [program, "-e", f"{home}/error.log", "-p", str(home), "-c", str(home / "conf")]
    )
    try:
        _wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("nginx did not start; its error.log says why")


def speed(what: str, size: int, ours: list[float], floor: list[float], *, aim: float) -> Row:
    """Return the medians of seconds for ``size`` bytes, ours beside the floor's."""
    mine, best = statistics.median(ours), statistics.median(floor)
    return Row(
        what=what,
        measured=f"{size / mine / MIB:.0f} MiB/s",
        beside=f"{size / best / MIB:.0f} MiB/s",
        ratio=best / mine,
        aim=f">= {aim}",
        reached=best / mine >= aim,
    )


def _growth(what: str, growths: list[int]) -> Row:
    return Row(
        what=what,
        measured=f"{max(growths) / MIB:.1f} MiB",
        aim=f"< {GROWTH_LIMIT >> 20} MiB",
        reached=max(growths) < GROWTH_LIMIT,
    )
