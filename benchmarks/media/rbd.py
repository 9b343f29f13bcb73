# SPDX-License-Identifier: Apache-2.0
"""RBD: a Ceph of one OSD, beside ``rbd import`` and ``rbd export``; and thin images."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from glancekit_rbd_store.bindings import bindings
from glancekit_rbd_store.testing import Cluster

from benchmarks.media.medium import MIB, Medium, digested
from benchmarks.report import Row
from benchmarks.running import Service
from benchmarks.transfers import timed, upload

IMAGE = "by-the-tool"
THIN, WRITTEN = 1024 * MIB, 50 * MIB


class Rbd(Medium):
    """A pool of a Ceph."""

    driver = "rbd"
    tool = "rbd import/export"

    def __init__(self, folder: Path) -> None:
        self._ceph = Cluster(folder / "ceph", size=12 << 30)

    def __enter__(self) -> Self:
        self._ceph.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ceph.stop()

    def options(self) -> dict[str, str]:
        """Return how the service reaches it."""
        return {
            "rbd_store_ceph_conf": str(self._ceph.conf),
            "rbd_store_user": "glance",
            "rbd_thin_provisioning": "true",
        }

    def put(self, source: Path) -> None:
        """Import from a pipe: the digests are made of what goes through it."""
        command = self._rbd("import", "--object-size", "8M", "-", f"images/{IMAGE}")
        with (
            digested(source) as data,
            subprocess.Popen(command, stdin=subprocess.PIPE) as tool,
        ):
            assert tool.stdin is not None
            while piece := data.read(MIB):
                tool.stdin.write(piece)
            tool.stdin.close()
            if tool.wait():
                raise RuntimeError("rbd import failed")

    def get(self, to: BinaryIO) -> None:
        """Export."""
        subprocess.run(self._rbd("export", f"images/{IMAGE}", "-"), stdout=to, check=True)

    def remove(self) -> None:
        """Remove the image."""
        subprocess.run(self._rbd("rm", f"images/{IMAGE}"), check=True)

    def more(self, running: Service, folder: Path, rounds: int) -> Iterator[Row]:
        """Upload a large image that has little data, beside the tool's import of it, and beside
        no more than digesting it and importing the data."""
        source, dense = folder / "thin", folder / "dense"
        _make_thin(source)
        dense.write_bytes(os.urandom(WRITTEN))
        _read(source)  # from here on the page cache has it, holes too
        ours, tools, floor = [], [], []
        for _ in range(rounds):
            tools.append(timed(lambda: self.put(source)))
            self.remove()
            floor.append(timed(lambda: _read(source)) + timed(lambda: self.put(dense)))
            self.remove()
            begun = time.perf_counter()
            image_id = upload(running, source)
            ours.append(time.perf_counter() - begun)
            room = self._written(image_id)
            running.call("DELETE", f"/v2/images/{image_id}")
        what = f"rbd: {THIN // MIB} MiB with {WRITTEN // MIB} of data"
        yield _thin(f"{what}, beside {self.tool} of it", ours, tools)
        yield _thin(f"{what}, beside its digests and {self.tool} of the data", ours, floor)
        most = WRITTEN * 1.05
        yield Row(
            what="rbd: the room it takes",
            measured=f"{room / MIB:.0f} MiB",
            aim=f"< {most / MIB:.0f} MiB",
            reached=room < most,
        )

    def _rbd(self, *words: str) -> list[str]:
        timeouts = ["--conf", str(self._ceph.conf), "--id", "glance", "--no-progress"]
        return ["rbd", *timeouts, *words]

    def _written(self, name: str) -> int:
        """Return how many bytes of an image were written; the rest of it is holes."""
        lengths: list[int] = []

        def add(offset: int, length: int, there: bool) -> None:
            lengths.append(length if there else 0)

        rbd = bindings().rbd
        with (
            self._ceph.client("glance").open_ioctx("images") as pool,
            rbd.Image(pool, name, read_only=True) as image,
        ):
            image.diff_iterate(0, image.size(), None, add)
        return sum(lengths)


def _make_thin(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(THIN)
        for step in range(5):  # in five places, each at the beginning of an object
            file.seek(step * 200 * MIB)
            file.write(os.urandom(WRITTEN // 5))


def _thin(what: str, ours: list[float], theirs: list[float]) -> Row:
    mine, beside = statistics.median(ours), statistics.median(theirs)
    return Row(
        what=what,
        measured=f"{mine:.2f} s",
        beside=f"{beside:.2f} s",
        ratio=beside / mine,
        aim=">= 0.85",
        reached=beside / mine >= 0.85,
    )


def _read(source: Path) -> None:
    with digested(source) as data:
        while data.read(MIB):
            continue
