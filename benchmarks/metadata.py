# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks.metadata``: what a unit of work costs, direct and through the registry.

The floor is SQLite in the same process, over the same file as the registry's.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from glancekit_registry_metadata.testing import KEY, client
from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import EVERYBODY, Image, ImageQuery, MetadataDriver

ROUNDS = 500
IMAGES = 100

Deed = Callable[[MetadataDriver, str], None]


def show(driver: MetadataDriver, image_id: str) -> None:
    """Read one image."""
    with driver.unit_of_work(read_only=True) as work:
        work.images.get(image_id)


def list_25(driver: MetadataDriver, image_id: str) -> None:
    """Read a page."""
    with driver.unit_of_work(read_only=True) as work:
        work.images.find(ImageQuery(viewer=EVERYBODY))


def save(driver: MetadataDriver, image_id: str) -> None:
    """Change one image: read, save, commit."""
    with driver.unit_of_work() as work:
        image = work.images.get(image_id)
        work.images.save(replace(image, min_ram=image.min_ram + 1), expect_status={image.status})
        work.commit()


DEEDS: dict[str, Deed] = {"show": show, "list of 25": list_25, "change": save}


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="glancekit-bench-") as name:
        folder = Path(name)
        options = SimpleNamespace(path=str(folder / "glancekit.sqlite"), busy_timeout=30)
        with closing(SqliteMetadata(options, name="sqlite")) as direct:
            direct.start()
            image_id = fill(direct)
            registry, url = start_registry(folder)
            try:
                with closing(client(url)) as remote:
                    remote.start()
                    compare(direct, remote, image_id)
            finally:
                registry.terminate()
                registry.wait(30)
    return 0


def fill(driver: MetadataDriver) -> str:
    """Make images as they are found in a cloud, and return the id of one."""
    with driver.unit_of_work() as work:
        for number in range(IMAGES):
            image = Image(
                id=str(uuid.uuid4()),
                owner="p",
                name=f"image-{number}",
                properties={f"property_{place}": "value" for place in range(10)},
                tags=frozenset({"one", "two"}),
            )
            work.images.add(image)
        work.commit()
    return image.id


def start_registry(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Run ``glancekit registry`` over the file; return it and its URL."""
    config = folder / "registry.conf"
    config.write_text(f"[DEFAULT]\ndata_dir = {folder}\n[registry]\nshared_key = {KEY}\n")
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(config)]
    process = subprocess.Popen([*command, "registry", "--port", "0"], stderr=subprocess.PIPE)
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    if "registry on" not in line:
        raise SystemExit(f"the registry did not start: {line}{process.stderr.read().decode()}")
    return process, line.split()[-1]


def compare(direct: MetadataDriver, remote: MetadataDriver, image_id: str) -> None:
    """Print milliseconds of each deed, the two taking turns."""
    print(f"{'milliseconds (median)':24}{'SQLite':>10}{'registry':>10}{'more':>10}")
    for name, deed in DEEDS.items():
        times: dict[str, list[float]] = {"direct": [], "remote": []}
        for _ in range(ROUNDS):
            for key, driver in (("direct", direct), ("remote", remote)):
                begun = time.perf_counter()
                deed(driver, image_id)
                times[key].append((time.perf_counter() - begun) * 1e3)
        one, other = (statistics.median(times[key]) for key in ("direct", "remote"))
        print(f"{name:24}{one:10.2f}{other:10.2f}{other - one:10.2f}")


if __name__ == "__main__":
    sys.exit(main())
