# SPDX-License-Identifier: Apache-2.0
"""Servers for tests: they start and end as they are told to, and leave nobody behind."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glancekit.testing import servers
from glancekit.testing.servers import (
    ServerProcess,
    SingleServer,
    find_environment,
    free_port,
    free_ports,
    listens,
)

ECHO = """
import os, socket, subprocess, sys
child = subprocess.Popen(["sleep", "60"])
print("server", os.getpid(), "child", child.pid, flush=True)
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(client.recv(100))
"""
PATIENCE = 30.0


class Echo(SingleServer):
    """Says what it hears, and has a child."""

    def __init__(self, log: Path) -> None:
        super().__init__(log)
        self.port = free_port()

    def command(self) -> list[str]:
        return [sys.executable, "-c", ECHO, str(self.port)]

    def answers(self) -> bool:
        return listens(self.port)

    def says(self, words: bytes, seconds: float = PATIENCE) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as line:
            line.sendall(words)
            return line.recv(100)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "echo.log"


@pytest.fixture
def echo(log: Path) -> Iterator[Echo]:
    with Echo(log) as running:
        yield running


def comes_true(claim: Callable[[], bool]) -> bool:
    end = time.monotonic() + PATIENCE
    while not claim() and time.monotonic() < end:
        time.sleep(0.02)
    return claim()


def is_alive(pid: int) -> bool:
    """Say whether there is such a process, a dead one that nobody has asked after aside."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def server_of(log: Path) -> int:
    return int(log.read_text().rpartition("server ")[2].split()[0])


def child_of(log: Path) -> int:
    return int(log.read_text().rpartition("child ")[2].split()[0])


def test_it_is_ended_with_its_children_and_can_be_started_again(echo: Echo, log: Path) -> None:
    assert echo.says(b"one") == b"one"
    child = child_of(log)
    assert is_alive(child)
    echo.stop()
    assert (echo.is_running, listens(echo.port), is_alive(child)) == (False, False, False)
    echo.stop()  # no harm
    echo.start()
    assert echo.is_running
    assert echo.says(b"two") == b"two"


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_is_left_of_a_server_that_was_ended(echo: Echo, log: Path, frozen: bool) -> None:
    server = server_of(log)
    if frozen:
        echo.freeze()
    echo.stop()
    assert not Path(f"/proc/{server}").exists(), "its process id is free at once"


def test_one_can_be_ended_as_soon_as_it_was_launched(log: Path) -> None:
    process = ServerProcess(log)
    for _ in range(5):
        process.launch(["sleep", "60"])
        session = process.session
        process.kill()
        assert not is_alive(session)


def test_a_frozen_one_takes_connections_and_answers_when_it_thaws(echo: Echo) -> None:
    echo.freeze()
    try:
        with pytest.raises(TimeoutError):
            echo.says(b"one", seconds=0.5)
    finally:
        echo.thaw()
    assert echo.says(b"two") == b"two"


def test_one_that_does_not_start_says_why(log: Path) -> None:
    process = ServerProcess(log)
    process.launch([sys.executable, "-c", "import sys; sys.exit('no such disk')"])
    with pytest.raises(RuntimeError, match="echo does not start\nno such disk"):
        process.await_answer(lambda: False)
    assert not process.is_running


def test_one_that_starts_too_slowly_is_ended(log: Path) -> None:
    process = ServerProcess(log)
    process.launch(["sleep", "60"])
    session = process.session
    with pytest.raises(RuntimeError, match="does not start"):
        process.await_answer(lambda: False, seconds=0.1)
    assert not is_alive(session)
    with pytest.raises(RuntimeError, match="does not run"):
        process.freeze()


def test_it_ends_by_itself_with_its_children(log: Path) -> None:
    process = ServerProcess(log, lifetime=4)
    process.launch(["sh", "-c", "sleep 60 & echo child $!; wait"])
    assert comes_true(lambda: not process.is_running)
    assert comes_true(lambda: not is_alive(child_of(log)))


def test_what_is_run_to_its_end_must_end_well_and_in_time(log: Path) -> None:
    process = ServerProcess(log)
    process.run(["true"], seconds=PATIENCE)
    with pytest.raises(RuntimeError, match="sh failed\nno such disk"):
        process.run(["sh", "-c", "echo no such disk; exit 3"], seconds=PATIENCE)
    with pytest.raises(RuntimeError, match="sleep failed"):
        process.run(["sleep", "60"], seconds=0.1)


def test_its_environment_comes_on_top_of_ours(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    process = ServerProcess(log)
    process.launch(["sh", "-c", "echo $OURS $ITS; exit 3"], environment={"ITS": "2"})
    with pytest.raises(RuntimeError, match="1 2"):
        process.await_answer(lambda: False)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_free_ports_are_none_that_the_kernel_may_give_to_somebody_else_meanwhile() -> None:
    """Its own begin at 32768, as it comes."""
    assert all(10_000 <= port < 32_768 for port in free_ports(20))


def test_a_port_that_somebody_has_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_turns", itertools.count(5))
    port = free_port()
    monkeypatch.setattr(servers, "_turns", itertools.count(5))
    with socket.create_server(("127.0.0.1", port)):
        assert free_port() != port


def test_after_the_last_port_comes_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_turns", itertools.count(servers.PORTS - 10))
    last, first = max(ports := free_ports(20)), min(ports)
    assert last - first < servers.PORTS
    assert ports.index(first) == ports.index(last) + 1


def test_an_environment_is_found_by_its_name_or_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv-acme" / "bin").mkdir(parents=True)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.delenv("ACME", raising=False)
    assert find_environment("ACME", ".venv-acme", has="bin") == tmp_path / ".venv-acme"
    assert find_environment("ACME", ".venv-acme", has="bin/acme") is None
    monkeypatch.setenv("ACME", os.fspath(below))
    assert find_environment("ACME", ".venv-acme", has="bin") is None
