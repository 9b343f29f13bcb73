# SPDX-License-Identifier: Apache-2.0
"""Three ``glancekit periodic`` on each real coordination; one is killed, one cut off.

``periodic_hosts.py`` does it, and is also run by hand for longer.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from glancekit.testing.servers import ServerProcess, free_port, listens

PROGRAM = Path(__file__).with_name("periodic_hosts.py")
LIMIT = 400
START_LIMIT = 60.0
ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
"""It names the others that it needs by itself."""

DATABASES = {
    "postgresql": "glancekit_postgresql_metadata.testing",
    "mysql": "glancekit_mysql_metadata.testing",
}
"""What keeps a server up whose locks tooz takes."""


def redis(folder: Path, port: int) -> list[str]:
    where = ["--port", str(port), "--bind", "127.0.0.1"]
    return ["redis-server", *where, "--save", "", "--dir", str(folder)]


def etcd(folder: Path, port: int) -> list[str]:
    url, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return [
        *("etcd", "--data-dir", str(folder / "data"), "--listen-client-urls", url),
        *("--advertise-client-urls", url, "--listen-peer-urls", peers),
        *("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]


def zookeeper(folder: Path, port: int) -> list[str]:
    lines = (
        *("tickTime=1000", f"dataDir={folder / 'data'}", f"clientPort={port}"),
        *("clientPortAddress=127.0.0.1", "admin.enableServer=false"),
    )
    (folder / "zoo.cfg").write_text("\n".join(lines))
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
    return ["java", "-Xmx128m", "-cp", str(ZOOKEEPER), main, str(folder / "zoo.cfg")]


SERVERS = {
    "redis": (redis, "redis-server", "redis", "redis-server"),
    "etcd3+http": (etcd, "etcd", "etcd3gw", "etcd-server"),
    "zookeeper": (zookeeper, "java", "kazoo", "zookeeper"),
}
"""How each starts; its program, its client's module, and Debian's package."""


@contextmanager
def serving(scheme: str, folder: Path) -> Iterator[str]:
    """Keep a server up, and yield its URL."""
    if scheme in DATABASES:
        with a_database(DATABASES[scheme]) as url:
            yield url
        return
    command, program, module, package = SERVERS[scheme]
    if shutil.which(program) is None or (program == "java" and not ZOOKEEPER.exists()):
        pytest.skip(f"needs {package}; run: apt-get install --no-install-recommends {package}")
    pytest.importorskip(module)
    port = free_port()
    server = ServerProcess(folder / "server.log")
    server.launch(command(folder, port))
    try:
        server.await_answer(lambda: listens(port))
        yield f"{scheme}://127.0.0.1:{port}"
    finally:
        server.kill()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of a PostgreSQL."""
    with a_database(DATABASES["postgresql"]) as url:
        yield url


@contextmanager
def a_database(module: str) -> Iterator[str]:
    """Keep a database server up, and yield the URL of a database."""
    testing = pytest.importorskip(module)
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
            try:
                yield process.stdout.readline().strip()
            finally:
                process.stdin.close()
                process.wait(60)


def tried(folder: Path, coordination: str, database: str, *more: str) -> None:
    """Run the program, and ask what it counted."""
    options = ["--folder", str(folder), "--coordination", coordination, "--database", database]
    command: Sequence[str] = [sys.executable, str(PROGRAM), *options, *more]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    counted = json.loads(run.stdout.splitlines()[-1])
    print(coordination, counted)
    assert counted["too soon"] == {"tick": 0, "tock": 0}
    assert min(counted["starts"].values()) > 1
    assert counted["hosts"] > 1
    assert counted["at once"] == 0
    assert max([*counted["after a kill"], counted.get("after a cut", 0)]) <= counted["limit"]


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("scheme", ["redis", "zookeeper", "mysql", "postgresql"])
def test_one_is_killed(scheme: str, database: str, tmp_path: Path) -> None:
    """The short form: the whole on Redis is ``--partition``, as below on others."""
    with serving(scheme, tmp_path) as coordination:
        tried(tmp_path / "hosts", coordination, database, "--lease", "4", "--calm", "4")


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("scheme", ["etcd3+http", "zookeeper", "mysql"])
def test_one_is_cut_off(scheme: str, database: str, tmp_path: Path) -> None:
    """With a network of its own for each host, where that may be."""
    more = ("--lease", "4", "--calm", "0", "--kills", "0", "--partition")
    with serving(scheme, tmp_path) as coordination:
        tried(tmp_path / "hosts", coordination, database, *more)
