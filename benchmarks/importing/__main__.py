# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.importing``: an import through the service beside what one would type.

web-download of a qcow2 that becomes raw, beside ``curl | tee | sha512sum`` and then ``qemu-img
convert``, with the result on the disk. Ours has the digests of the result, which the Images API
shows; the second row has a person compute them, too: ``md5sum`` and ``sha512sum`` side by side.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.importing.steps import AIM, make_disk, timed
from benchmarks.report import Row, table
from benchmarks.running import Service, service
from benchmarks.transfers import nginx

CONFIG = """
[image_import_opts]
image_import_plugins = image_conversion
[image_conversion]
output_format = raw
[import_filtering_opts]
allowed_hosts = 127.0.0.1
allowed_ports = []
"""

POLL = 0.05
"""Seconds between looks at a task."""

PATIENCE = 600.0
"""Seconds for one import."""


def main() -> int:
    """Measure and print; 1 when the aim was missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.importing", description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB of the disk (2048)")
    parser.add_argument("--holes", type=int, default=0, help="per cent of the disk, in tens (0)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (3)")
    parser.add_argument("--folder", help="where to work; it should be on a real disk")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="glancekit-bench-", dir=chosen.folder) as name:
        folder = Path(name)
        config = folder / "glancekit.conf"
        config.write_text(CONFIG)
        make_qcow2(folder, chosen.size << 20, chosen.holes)
        with (
            nginx(folder / "web") as base,
            service(folder / "data", "--config-file", str(config)) as running,
        ):
            rows = web_download(running, f"{base}/disk.qcow2", folder, chosen.rounds)
    print(table(rows))
    return 1 if any(row.reached is False for row in rows) else 0


def make_qcow2(folder: Path, size: int, holes: int) -> None:
    """Make the image that the web server has."""
    raw, web = folder / "disk.raw", folder / "web"
    web.mkdir()
    make_disk(raw, size, holes=holes)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2"]
    subprocess.run([*command, raw, web / "disk.qcow2"], check=True)
    raw.unlink()
    os.sync()


def web_download(running: Service, url: str, folder: Path, rounds: int) -> list[Row]:
    """Measure an import beside the commands, in turns."""
    ours, theirs, alike = [], [], []
    for _ in range(rounds):
        theirs.append(timed(functools.partial(by_hand, url, folder)))
        ours.append(timed(functools.partial(import_one, running, url)))
        alike.append(timed(functools.partial(by_hand, url, folder, digested=True)))
    mine, floor = statistics.median(ours), statistics.median(theirs)
    same = statistics.median(alike)
    return [
        Row(
            what="web-download, qcow2 to raw",
            measured=f"{mine:.2f} s",
            beside=f"{floor:.2f} s",
            ratio=mine / floor,
            aim=f"<= {AIM}",
            reached=mine / floor <= AIM,
        ),
        Row(
            what="beside the same with the digests of the result",
            measured=f"{mine:.2f} s",
            beside=f"{same:.2f} s",
            ratio=mine / same,
        ),
    ]


def by_hand(url: str, folder: Path, *, digested: bool = False) -> None:
    """Fetch and digest, convert, digest the result where asked, and have that on the disk."""
    fetched, out = folder / "fetched.qcow2", folder / "by-hand.raw"
    script = (
        'curl -sf "$1" | tee "$2" | sha512sum >/dev/null && '
        'qemu-img convert -f qcow2 -O raw "$2" "$3" && '
    )
    if digested:
        script += '{ md5sum "$3" >/dev/null & } && sha512sum "$3" >/dev/null && wait && '
    script += 'sync "$3"'
    subprocess.run(["bash", "-ec", script, "sh", url, fetched, out], check=True)
    fetched.unlink()
    out.unlink()


def import_one(running: Service, url: str) -> None:
    """Import through the service, and wait for its end."""
    image_id = running.create_image("imported", disk_format="qcow2")
    body = {"method": {"name": "web-download", "uri": url}}
    running.call("POST", f"/v2/images/{image_id}/import", body)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        (task,) = running.call("GET", f"/v2/images/{image_id}/tasks")["tasks"]
        if task["status"] == "success":
            running.call("DELETE", f"/v2/images/{image_id}")
            return
        if task["status"] == "failure":
            raise SystemExit(f"the import failed: {task['message']}")
        time.sleep(POLL)
    raise SystemExit("the import did not end")


if __name__ == "__main__":
    sys.exit(main())
