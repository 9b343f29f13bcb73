# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed, with boards of several machines: Redis, etcd and ZooKeeper.

Each is the real server, on 127.0.0.1; the records of flows are in a real PostgreSQL.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.coordinators import Coordinator, Etcd, Redis, ZooKeeper

PROGRAM = Path(__file__).with_name("kill_imports.py")
PAIRS = Path(__file__).with_name("kill_pairs.py")
LIMIT = 900
BOARDS: dict[str, tuple[type[Coordinator], str]] = {
    "redis": (Redis, "redis"),
    "etcd": (Etcd, "etcd3gw"),
    "zookeeper": (ZooKeeper, "kazoo"),
}
"""The server of each, and its client's module."""


@pytest.fixture(scope="module")
def records(database_server: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
    """The URL of a database in a PostgreSQL."""
    with database_server("postgresql") as server:
        yield server.make_database("flows")


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a board."""
    kind, client = BOARDS[request.param]
    if reason := kind.missing():
        pytest.skip(reason)
    pytest.importorskip(client)
    with kind(tmp_path) as server:
        yield f"{request.param}://{server.address}"


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize(
    ("board", "every", "program"),
    [("redis", 4, PROGRAM), ("redis", 13, PAIRS), ("etcd", 9, PROGRAM), ("zookeeper", 9, PROGRAM)],
    indirect=["board"],
)
def test_every_import_survives(
    board: str, every: int, program: Path, records: str, tmp_path: Path
) -> None:
    if program == PAIRS:
        need_shipped_parts()
    folder = tmp_path / "imports"
    folder.mkdir()
    options = ["--folder", str(folder), "--jobboard", board, "--persistence", records]
    command = [sys.executable, "-W", "ignore", str(program), *options, "--every", str(every)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    counted = json.loads(run.stdout.splitlines()[-1])
    print(board, counted)
    assert counted["total"] > 1
    assert counted["survived"] == counted["total"], counted["others"]
    nothing = ("stuck images", "orphaned bytes", "rows", "jobs")
    assert {name: counted[name] for name in nothing} == dict.fromkeys(nothing, 0)


def need_shipped_parts() -> None:
    """Skip where something is missing that is tried as it is shipped."""
    pytest.importorskip("glancekit_image_steps", reason="pip install glancekit-image-steps")
    pytest.importorskip("glancekit_web_download", reason="pip install glancekit-web-download")
    testing = pytest.importorskip("glancekit_web_reading.testing")
    if reason := testing.missing():
        pytest.skip(reason)
    if shutil.which("qemu-img") is None:
        pytest.skip("no qemu-img; on Debian: apt install qemu-utils")
