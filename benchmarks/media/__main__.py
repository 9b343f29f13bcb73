# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.media``: each medium's speed through the whole service, beside its own
tool's. The rounds alternate, so that a busy moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from benchmarks.media.medium import MIB, Digesting, Medium
from benchmarks.report import Row, table
from benchmarks.running import Service, service
from benchmarks.transfers import download, make_source, speed, timed, upload, warm_up

MEDIA: Mapping[str, str] = {
    "file": "benchmarks.media.file:File",
    "http": "benchmarks.media.http:Http",
    "rbd": "benchmarks.media.rbd:Rbd",
    "s3": "benchmarks.media.s3:S3",
    "swift": "benchmarks.media.swift:Swift",
    "swift-segments": "benchmarks.media.swift:SwiftInSegments",
    "vmware": "benchmarks.media.vmware:Vmware",
}
"""Where each is. A module is loaded when it is asked for: they need different things installed."""

AIM = 0.85
MEMORY = 64 * MIB


def main() -> int:
    """Measure what was chosen; 1 when an aim was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.media", description=__doc__)
    parser.add_argument("media", nargs="*", metavar="MEDIUM", help=f"any of {', '.join(MEDIA)}")
    parser.add_argument("--size", type=int, default=1024, help="MiB to transfer (1024)")
    parser.add_argument("--rounds", type=int, default=3, help="of each transfer (3)")
    parser.add_argument("--folder", help="where to work; it should be on a real disk")
    chosen = parser.parse_args()
    if unknown := set(chosen.media) - set(MEDIA):
        parser.error(f"no such medium: {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in chosen.media or MEDIA:
        with tempfile.TemporaryDirectory(prefix="glancekit-media-", dir=chosen.folder) as folder:
            rows += measure(name, Path(folder), size=chosen.size * MIB, rounds=chosen.rounds)
        print(f"{name} done", file=sys.stderr)
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def measure(name: str, folder: Path, *, size: int, rounds: int) -> Iterator[Row]:
    """Start a medium, and the service on it; yield all that is measured."""
    module, _, kind = MEDIA[name].partition(":")
    folder.chmod(0o755)  # a web server's workers are another user
    source = folder / "source"
    make_source(source, size)
    with getattr(import_module(module), kind)(folder) as medium:
        (folder / "glancekit.conf").write_text(_configuration(medium))
        with service(folder / "data", "--config-file", str(folder / "glancekit.conf")) as running:
            if medium.writable:
                warm_up(running, folder)
                yield from _uploads(name, medium, running, source, rounds)
            medium.put(source)
            image_id = upload(running, source) if medium.writable else medium.register(running)
            yield from _downloads(name, medium, running, image_id, source, rounds)
            running.call("DELETE", f"/v2/images/{image_id}")
            medium.remove()
            yield from medium.more(running, folder, rounds)


def _configuration(medium: Medium) -> str:
    options = [f"{name} = {value}" for name, value in medium.options().items()]
    lines = ["[DEFAULT]", f"enabled_backends = medium:{medium.driver}"]
    lines += ["[glance_store]", "default_backend = medium", "[medium]", *options]
    return "\n".join([*lines, medium.settings()])


def _uploads(
    name: str, medium: Medium, running: Service, source: Path, rounds: int
) -> Iterator[Row]:
    """Measure them; memory in a first round of its own, since watching it takes time from it."""
    found: list[str] = []

    def put() -> None:
        found.append(upload(running, source))

    def forget() -> None:
        running.call("DELETE", f"/v2/images/{found.pop()}")

    with running.watching_memory() as growth:
        put()
    forget()
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(timed(lambda: medium.put(source)))
        medium.remove()
        ours.append(timed(put))
        forget()
    what = f"{name}: upload, beside {medium.tool}"
    yield speed(what, source.stat().st_size, ours, theirs, aim=AIM)
    yield _growth(f"{name}: memory growth in uploads", growth[0])


def _downloads(
    name: str, medium: Medium, running: Service, image_id: str, source: Path, rounds: int
) -> Iterator[Row]:
    """Measure them with the digests of what arrives, by which a client knows what it got, and
    without."""
    fetch = partial(download, f"{running.url}/v2/images/{image_id}/file")
    with running.watching_memory() as growth:
        _to_nowhere(fetch)
    ours, theirs = [], []
    plain, plain_theirs = [], []
    for _ in range(rounds):
        theirs.append(timed(partial(_digested, medium.get)))
        ours.append(timed(partial(_digested, fetch)))
        plain_theirs.append(timed(partial(_to_nowhere, medium.get)))
        plain.append(timed(partial(_to_nowhere, fetch)))
    size, tool = source.stat().st_size, medium.tool
    yield speed(f"{name}: download with digests, beside {tool}", size, ours, theirs, aim=AIM)
    yield _growth(f"{name}: memory growth in downloads", growth[0])
    what = f"{name}: download to nowhere, beside {tool}"
    bare = speed(what, size, plain, plain_theirs, aim=AIM)
    yield replace(bare, aim="", reached=None)


def _digested(get: Callable[[BinaryIO], None]) -> None:
    """Fetch into a pipe, and digest what comes out of it."""
    end, beginning = os.pipe()
    fcntl.fcntl(beginning, fcntl.F_SETPIPE_SZ, MIB)

    def fetch() -> None:
        with open(beginning, "wb", buffering=0) as to:
            get(to)

    with Digesting(open(end, "rb", buffering=MIB)) as data, ThreadPoolExecutor(1) as pool:
        fetched = pool.submit(fetch)
        while data.read(MIB):
            continue
        fetched.result()


def _to_nowhere(get: Callable[[BinaryIO], None]) -> None:
    with open(os.devnull, "wb", buffering=0) as nowhere:
        get(nowhere)


def _growth(what: str, growth: int) -> Row:
    return Row(
        what=what,
        measured=f"{growth / MIB:.1f} MiB",
        aim=f"< {MEMORY // MIB} MiB",
        reached=growth < MEMORY,
    )


if __name__ == "__main__":
    sys.exit(main())
