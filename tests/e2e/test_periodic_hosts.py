# SPDX-License-Identifier: Apache-2.0
"""Three ``glancekit periodic`` on each real coordination; one is killed, one cut off.

``periodic_hosts.py`` does it, and is also run by hand for longer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from glancekit.testing.coordinators import Coordinator, Etcd, Redis, ZooKeeper

PROGRAM = Path(__file__).with_name("periodic_hosts.py")
LIMIT = 400
COORDINATORS: dict[str, tuple[type[Coordinator], str]] = {
    "redis": (Redis, "redis"),
    "etcd3+http": (Etcd, "etcd3gw"),
    "zookeeper": (ZooKeeper, "kazoo"),
}
"""By the scheme of its URL the server, and its client's module."""


@pytest.fixture(scope="module")
def database(database_server: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
    """The URL of a database in a PostgreSQL."""
    with database_server("postgresql") as server:
        yield server.make_database("hosts")


@pytest.fixture
def coordination(
    request: pytest.FixtureRequest,
    database_server: Callable[..., AbstractContextManager[Any]],
    tmp_path: Path,
) -> Iterator[str]:
    """The URL of what hosts take turns by: one of the above, or a database whose locks tooz
    takes."""
    if request.param not in COORDINATORS:
        with database_server(request.param) as server:
            yield server.make_database("turns")
        return
    kind, client = COORDINATORS[request.param]
    if reason := kind.missing():
        pytest.skip(reason)
    pytest.importorskip(client)
    with kind(tmp_path) as coordinator:
        yield f"{request.param}://{coordinator.address}"


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
@pytest.mark.parametrize(
    "coordination", ["redis", "zookeeper", "mysql", "postgresql"], indirect=True
)
def test_one_is_killed(coordination: str, database: str, tmp_path: Path) -> None:
    """The short form: the whole on Redis is ``--partition``, as below on others."""
    tried(tmp_path / "hosts", coordination, database, "--lease", "4", "--calm", "4")


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize("coordination", ["etcd3+http", "zookeeper", "mysql"], indirect=True)
def test_one_is_cut_off(coordination: str, database: str, tmp_path: Path) -> None:
    """With a network of its own for each host, where that may be."""
    more = ("--lease", "4", "--calm", "0", "--kills", "0", "--partition")
    tried(tmp_path / "hosts", coordination, database, *more)
