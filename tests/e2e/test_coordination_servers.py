# SPDX-License-Identifier: Apache-2.0
"""Turns with a real ZooKeeper and MariaDB that stop, are silent, or have bounds of their own.

Hosts that take turns at tasks are tried in ``test_periodic_hosts.py``.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from glancekit.core.coordination import Coordination

# How tooz calls PyMySQL.
pytestmark = [
    pytest.mark.filterwarnings("ignore:'passwd' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:single argument is deprecated:DeprecationWarning"),
]

LEASE = 6
START_LIMIT = 60.0
SLACK = 5.0
"""Seconds beyond a lease on a busy machine."""

ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")


class Server(Protocol):
    """A server of locks."""

    url: str

    def start(self) -> None:
        """Start it, on its data."""
        ...

    def kill(self) -> None:
        """End it."""
        ...

    def signal(self, number: int) -> None:
        """Stop it in its tracks, or let it go on."""
        ...


@dataclass
class ZooKeeper:
    """One, in a folder. Its sessions end between two and twenty seconds after their last sign."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"zookeeper://127.0.0.1:{self.port}"

    def start(self) -> None:
        lines = (
            *("tickTime=1000", f"dataDir={self.folder / 'data'}", f"clientPort={self.port}"),
            *("clientPortAddress=127.0.0.1", "admin.enableServer=false"),
        )
        config = self.folder / "zoo.cfg"
        config.write_text("\n".join(lines))
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = ["timeout", "--signal=KILL", "600", "java", "-Xmx128m", "-cp", str(ZOOKEEPER)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, main, str(config)], stdout=log, stderr=log, start_new_session=True
            )
        waits_for(self._serves, START_LIMIT)

    def _serves(self) -> bool:
        """It listens before it serves."""
        assert self.process is not None
        assert self.process.poll() is None
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as line:
            line.sendall(b"srvr")
            return b"Mode:" in line.recv(4096)
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def signal(self, number: int) -> None:
        assert self.process is not None
        _signal_session(self.process.pid, number)


class Mysql:
    """A MariaDB in a folder."""

    def __init__(self, folder: Path) -> None:
        testing = pytest.importorskip("glancekit_mysql_metadata.testing")
        if reason := testing.missing():
            pytest.skip(reason)
        self.server = testing.RealMariadb(folder)
        self.url = self.server.url()

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.kill()

    def signal(self, number: int) -> None:
        _signal_session(self.server._process.pid, number)


def _signal_session(session: int, number: int) -> None:
    """Signal a server and not only the command that bounds its time."""
    import os

    os.killpg(session, number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(params=["zookeeper", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A running one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made: Server
        if request.param == "mysql":
            made = Mysql(folder / "data")
        else:
            if shutil.which("java") is None or not ZOOKEEPER.exists():
                pytest.skip(
                    "needs zookeeper; run: apt-get install --no-install-recommends zookeeper"
                )
            pytest.importorskip("kazoo")
            made = ZooKeeper(folder, _free_port())
        made.start()
        try:
            yield made
        finally:
            made.kill()


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., Coordination]]:
    """Take part as one more host."""
    made: list[Coordination] = []

    def connect(lease: int = LEASE) -> Coordination:
        made.append(Coordination(server.url, lease))
        return made[-1]

    yield connect
    for one in made:
        in_time(one.close, 3 * LEASE)


def waits_for(claim: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what a claim returns as soon as that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := claim():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


def in_time(deed: Callable[[], Any], seconds: float) -> Any:
    """Return what a deed returns, which must not take longer."""
    came: list[Any] = []
    thread = threading.Thread(target=lambda: came.append(deed()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert came, f"it took longer than {seconds} s"
    return came[0]


def test_one_has_a_turn_and_others_after_it(connect: Callable[..., Coordination]) -> None:
    name = "a name that is longer than what MySQL takes " * 3
    one, other = connect(), connect()
    turn = waits_for(lambda: one.take(name))
    with turn:
        assert other.take(name) is None
        assert one.take(name) is None
        further = other.take("another" + name)
        assert further is not None
        time.sleep(1.5 * LEASE)
        assert not turn.is_over()
        assert other.take(name) is None
        further.__exit__(None, None, None)
    assert other.take(name) is not None


def test_a_server_that_is_away_holds_nobody_up(
    server: Server, connect: Callable[..., Coordination]
) -> None:
    one, other = connect(), connect()
    turn = waits_for(lambda: one.take("t"))
    assert waits_for(lambda: other.take("u"))
    server.kill()
    assert in_time(lambda: one.take("v") is None, LEASE + SLACK)
    waits_for(turn.is_over, LEASE + SLACK)
    in_time(lambda: turn.__exit__(None, None, None) is None, LEASE + SLACK)
    assert in_time(lambda: one.take("t") is None, 2 * LEASE + SLACK)
    server.start()
    again = waits_for(lambda: one.take("t"))
    assert not again.is_over()


def test_a_server_that_stands_still_ends_turns_and_holds_nobody_up(
    server: Server, connect: Callable[..., Coordination]
) -> None:
    one = connect()
    turn = waits_for(lambda: one.take("t"))
    server.signal(signal.SIGSTOP)
    try:
        waits_for(turn.is_over, LEASE)
        in_time(lambda: turn.__exit__(None, None, None) is None, LEASE + SLACK)
        assert in_time(lambda: one.take("t") is None, 2 * LEASE + SLACK)
    finally:
        server.signal(signal.SIGCONT)
    with waits_for(lambda: one.take("t")) as again:
        assert not again.is_over()


def test_a_lease_is_no_longer_than_what_a_zookeeper_allows() -> None:
    assert Coordination("zookeeper://h:1", 600)._lease == 40
    assert "timeout=40" in Coordination("zookeeper://h:1", 600)._url
    assert Coordination("mysql://h/d", 600)._lease == 600


def test_a_mysql_ends_the_session_of_a_host_that_vanished(
    server: Server, connect: Callable[..., Coordination], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its beats stop and its connection stays, as with a cable that was pulled."""
    if not isinstance(server, Mysql):
        pytest.skip("the others end sessions by themselves")
    one, other = connect(), connect()
    assert one.take("t") is not None
    monkeypatch.setattr(one, "_confirm", lambda held: None)
    began = time.monotonic()
    waits_for(lambda: other.take("t"), LEASE + SLACK)
    assert time.monotonic() - began > LEASE / 2
