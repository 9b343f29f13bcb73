# SPDX-License-Identifier: Apache-2.0
"""Taking over, killed at any moment and typed again: it ends as if nothing had happened."""

from __future__ import annotations

import gzip
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)  # each command is a process of its own

for needed in ("glancekit_file_store", "glancekit_sqlite_metadata"):
    pytest.importorskip(needed, reason=f"what is configured here needs {needed}")

COUNT = 700
KILLS = (1, COUNT // 3, COUNT - 100)
"""It is killed as soon as so many images are there."""

PROGRAM = [sys.executable, "-m", "glancekit.cli"]


@pytest.fixture
def source(tmp_path: Path, writer: Any) -> Path:
    """The other service's configuration, with many images in its database."""
    for number in range(COUNT):
        image_id = f"{number:05}"
        if number % 10 == 0:
            writer.image(image_id, status="deleted", deleted=True)
            continue
        writer.image(image_id, size=number)
        writer.property(image_id, "a", str(number))
        writer.location(image_id, f"file:///srv/{image_id}")
        writer.member(image_id, "friend")
    writer.close()
    file = tmp_path / "glance-api.conf"
    file.write_text(f"[database]\nconnection = {writer.url}\n")
    return file


def command(source: Path, name: str) -> list[str]:
    """Return how to take over into a configuration and a folder of this name."""
    into, data = source.parent / f"{name}.conf", source.parent / name
    words = ["adopt", "--from", str(source), "--into", str(into), "--data-dir", str(data)]
    return [*PROGRAM, *words]


def records(source: Path, name: str) -> list[bytes]:
    """Return all records without what tells the times of the dump and of taking over."""
    config = source.parent / f"{name}.conf"
    dump = [*PROGRAM, "--config-file", str(config), "db", "dump", "-"]
    done = subprocess.run(dump, capture_output=True, check=True, timeout=120)
    lines = gzip.decompress(done.stdout).splitlines()[1:-1]
    return [
        re.sub(rb'"audited_at":"[^"]*"', b"", line)
        for line in lines
        if not line.startswith(b'{"storage_use"')
    ]


def wait_for(count: int, database: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many images are there, or all of them."""
    while process.poll() is None:
        try:
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
                (found,) = connection.execute("SELECT count(*) FROM images").fetchone()
        except sqlite3.OperationalError:  # it is not there yet
            found = 0
        if found >= count:
            return
        time.sleep(0.002)


def test_killed_anywhere_it_ends_the_same(source: Path) -> None:
    subprocess.run(command(source, "whole"), capture_output=True, check=True, timeout=120)
    killed = 0
    for count in KILLS:
        with subprocess.Popen(
            command(source, "killed"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_for(count, source.parent / "killed" / "glancekit.sqlite", process)
            process.kill()
            killed += process.wait() == -signal.SIGKILL
    assert killed > 0
    subprocess.run(command(source, "killed"), capture_output=True, check=True, timeout=120)
    assert records(source, "killed") == records(source, "whole")
    assert len(records(source, "whole")) == COUNT
