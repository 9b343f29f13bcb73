# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed, with boards of several machines: Redis, etcd and ZooKeeper.

Each is the real server, on 127.0.0.1; the records of flows are in a real PostgreSQL.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from glancekit.testing.servers import ServerProcess, free_port, listens

PROGRAM = Path(__file__).with_name("kill_imports.py")
PAIRS = Path(__file__).with_name("kill_pairs.py")
LIMIT = 900
ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
"""It names the others that it needs by itself."""

Start = Callable[[Path, int], Sequence[str]]


def redis(folder: Path, port: int) -> list[str]:
    return ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)]


def etcd(folder: Path, port: int) -> list[str]:
    url, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        *("etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", url),
        *("--advertise-client-urls", url, "--listen-peer-urls", peers),
        *("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]


def zookeeper(folder: Path, port: int) -> list[str]:
    lines = (
        *("tickTime=2000", f"dataDir={folder / 'data'}", f"clientPort={port}"),
        *("admin.enableServer=false", "4lw.commands.whitelist=envi"),
    )
    (folder / "zoo.cfg").write_text("\n".join(lines))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return ["java", "-Xmx128m", "-cp", str(ZOOKEEPER), main, str(folder / "zoo.cfg")]


BOARDS: dict[str, tuple[Start, str, str, str]] = {
    "redis": (redis, "redis-server", "redis", "redis-server"),
    "etcd": (etcd, "etcd", "etcd3gw", "etcd-server"),
    "zookeeper": (zookeeper, "java", "kazoo", "zookeeper"),
}
"""How each starts; its program, its client's module, and Debian's package."""


@pytest.fixture(scope="module")
def records() -> Iterator[str]:
    """The URL of a PostgreSQL."""
    testing = pytest.importorskip("glancekit_postgresql_metadata.testing")
    reason = testing.missing()
    if reason:
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        process = subprocess.Popen(
            [sys.executable, "-m", testing.__name__, f"{folder}/pg"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        with process.stdout:
            yield process.stdout.readline().strip()
            process.stdin.close()
            process.wait(60)


@pytest.fixture
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a board."""
    command, program, module, package = BOARDS[request.param]
    if shutil.which(program) is None or (program == "java" and not ZOOKEEPER.exists()):
        pytest.skip(f"needs {package}; run: apt-get install --no-install-recommends {package}")
    pytest.importorskip(module)
    port = free_port()
    server = ServerProcess(tmp_path / "server.log")
    server.launch(command(tmp_path, port))
    try:
        server.await_answer(lambda: listens(port))
        yield f"{request.param}://127.0.0.1:{port}"
    finally:
        server.kill()


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
