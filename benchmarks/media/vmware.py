# SPDX-License-Identifier: Apache-2.0
"""A datastore of the vCenter simulator: the service beside ``curl`` to the datastore itself, with
the same digests computed. ``python -m benchmarks.media.vmware`` prints the table.
"""

from __future__ import annotations

import argparse
import hashlib
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from glancekit_vmware_store.testing import DATACENTER, DATASTORES, PASSWORD, USER, Simulator
from pyVmomi import SoapStubAdapter, vim

from benchmarks.__main__ import measure
from benchmarks.report import Row, table
from benchmarks.running import Service, service
from benchmarks.transfers import MIB, download, make_source, timed, upload

GROWTH_LIMIT = 64 * MIB


def run(folder: Path, *, size: int, rounds: int) -> Iterator[Row]:
    """Measure uploads and downloads; the rounds alternate."""
    source = folder / "source"
    make_source(source, size)
    with Simulator(folder / "vcenter", options="-make-folders") as vcenter:
        tool = Tool(vcenter)
        with service(folder / "data", "--config-file", str(_configuration(folder, vcenter))) as it:
            for _ in range(2):  # what is imported at first use is not what we measure
                it.call("DELETE", f"/v2/images/{upload(it, _small(folder))}")
            yield from _uploads(it, tool, source, rounds)
            image_id = upload(it, source)
            yield from _downloads(it, tool, image_id, source, rounds)


class Tool:
    """curl to a datastore, with the cookie of a session."""

    def __init__(self, vcenter: Simulator) -> None:
        host, _, port = vcenter.address.partition(":")
        trust = ssl.create_default_context(cafile=str(vcenter.ca_file))
        stub = SoapStubAdapter(host=host, port=int(port), sslContext=trust)
        manager = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent().sessionManager
        manager.Login(USER, PASSWORD, None)
        where = f"dcPath={DATACENTER}&dsName={DATASTORES[0]}"
        self._url = f"https://{vcenter.address}/folder/tool/copy?{where}"
        self._file = vcenter.datastore() / "tool/copy"
        self._curl = ["curl", "-sS", "--fail", "--noproxy", "*"]
        self._curl += ["--cacert", str(vcenter.ca_file), "-b", stub.cookie.partition(";")[0]]

    def upload(self, source: Path) -> None:
        """Write the copy, with the digests that the service computes beside it."""
        digests = [
            threading.Thread(target=_digest, args=(source, name)) for name in ("md5", "sha512")
        ]
        for thread in digests:
            thread.start()
        self._run("-o", "/dev/null", "-T", str(source), self._url)
        for thread in digests:
            thread.join()

    def download(self) -> None:
        """Read the copy and throw it away."""
        self._run("-o", "/dev/null", self._url)

    def remove(self) -> None:
        """Forget the copy."""
        self._file.unlink()

    def _run(self, *arguments: str) -> None:
        subprocess.run([*self._curl, *arguments], check=True)


def _uploads(it: Service, tool: Tool, source: Path, rounds: int) -> Iterator[Row]:
    ours, floor, growths = [], [], []
    for _ in range(rounds):
        floor.append(timed(lambda: tool.upload(source)))
        tool.remove()
        with it.watching_memory() as growth:
            begun = time.perf_counter()
            image_id = upload(it, source)
            ours.append(time.perf_counter() - begun)
        growths.append(growth[0])
        it.call("DELETE", f"/v2/images/{image_id}")
    yield _speed("vmware: upload, beside curl + digests", source, ours, floor)
    yield _growth("vmware: memory growth in uploads", growths)


def _downloads(it: Service, tool: Tool, image_id: str, source: Path, rounds: int) -> Iterator[Row]:
    ours, floor, growths = [], [], []
    tool.upload(source)
    for _ in range(rounds):
        floor.append(timed(tool.download))
        with it.watching_memory() as growth:
            ours.append(timed(_downloading(it, image_id)))
        growths.append(growth[0])
    yield _speed("vmware: download, beside curl", source, ours, floor)
    yield _growth("vmware: memory growth in downloads", growths)


def _downloading(it: Service, image_id: str) -> Callable[[], None]:
    return lambda: download(f"{it.url}/v2/images/{image_id}/file")


def _speed(what: str, source: Path, ours: list[float], floor: list[float]) -> Row:
    size, mine, best = source.stat().st_size, statistics.median(ours), statistics.median(floor)
    return Row(
        what=what,
        measured=f"{size / mine / MIB:.0f} MiB/s",
        beside=f"{size / best / MIB:.0f} MiB/s",
        ratio=best / mine,
        aim=">= 0.85",
        reached=best / mine >= 0.85,
    )


def _growth(what: str, growths: list[int]) -> Row:
    return Row(
        what=what,
        measured=f"{max(growths) / MIB:.1f} MiB",
        aim=f"< {GROWTH_LIMIT >> 20} MiB",
        reached=max(growths) < GROWTH_LIMIT,
    )


def _digest(source: Path, name: str) -> None:
    with source.open("rb") as file:
        hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False))


def _small(folder: Path) -> Path:
    path = folder / "small"
    path.write_bytes(b"small")
    return path


def _configuration(folder: Path, vcenter: Simulator) -> Path:
    options = vcenter.settings()
    (options["vmware_datastores"],) = options["vmware_datastores"]
    lines = ["[DEFAULT]", "enabled_backends = datastore:vmware", "[glance_store]"]
    lines += ["default_backend = datastore", "[datastore]"]
    lines += [f"{name} = {value}" for name, value in options.items()]
    path = folder / "glancekit.conf"
    path.write_text("\n".join(lines))
    return path


def main() -> int:
    """Measure; 1 when an aim was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.media.vmware", description=__doc__)
    parser.add_argument("--size", type=int, default=1024, help="MiB to transfer (1024)")
    parser.add_argument("--rounds", type=int, default=3, help="of each transfer (3)")
    parser.add_argument("--folder", help="where to work")
    chosen = parser.parse_args()
    size, rounds = chosen.size << 20, chosen.rounds
    rows = measure(lambda folder: run(folder, size=size, rounds=rounds), chosen.folder)
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
