# SPDX-License-Identifier: Apache-2.0
"""For tests: a real RabbitMQ, its data in a folder, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_GREETING, _METHOD = b"AMQP\x00\x00\x09\x01", b"\x01"
"""What a client says first, and how the broker's answer begins (AMQP 0-9-1, 4.2.2 and 4.2.3)."""

LIFETIME = 5400
"""Seconds after which it ends by itself, should nobody end it: more than all tests take."""

START_LIMIT = 90.0


def missing() -> str | None:
    """Return what to install before there can be one; None when all is there."""
    if not PROGRAM.exists() or shutil.which("epmd") is None:
        return "there is no RabbitMQ to test with: apt-get install rabbitmq-server"
    if os.geteuid() != 0:
        return "RabbitMQ of Debian is started by root alone"
    return None


class RealRabbit:
    """One broker on a port of its own."""

    def __init__(self, folder: Path) -> None:
        """Choose ports; Erlang takes two more."""
        folder.mkdir(parents=True)
        self._folder = folder
        self.port, self._distribution, self._epmd = (_free_port() for _ in range(3))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Its address for oslo.messaging."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it and wait until it speaks the protocol: it may listen before."""
        self._run("epmd")
        self._await(lambda: _listens(self._epmd))
        self._run(str(PROGRAM))
        self._await(lambda: _speaks(self.port))

    def kill(self) -> None:
        """End it as a power cut does."""
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
        self._processes = []

    def _run(self, program: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    ["timeout", "--signal=KILL", str(LIFETIME), program],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, **self._settings()},
                )
            )

    def _settings(self) -> dict[str, str]:
        folder = self._folder
        return {
            "HOME": str(folder),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
        }

    def _await(self, is_there: Callable[[], bool]) -> None:
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if self._processes[-1].poll() is not None:
                break
            if is_there():
                return
            time.sleep(0.1)
        text = (self._folder / "log").read_text(errors="replace")
        self.kill()
        raise AssertionError(f"RabbitMQ does not start\n{text[-2000:]}")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _speaks(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(_GREETING)
            return probe.recv(1) == _METHOD
    except OSError:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
