# SPDX-License-Identifier: Apache-2.0
"""For tests: a real RabbitMQ, its data in a folder, that can be killed and started again."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

from glancekit.testing.servers import RealServer, ServerProcess, free_ports, listens

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_GREETING, _METHOD = b"AMQP\x00\x00\x09\x01", b"\x01"
"""What a client says first, and how the broker's answer begins (AMQP 0-9-1, 4.2.2 and 4.2.3)."""

START_LIMIT = 90.0


def missing() -> str | None:
    """Return what to install before there can be one; None when all is there."""
    if not PROGRAM.exists() or shutil.which("epmd") is None:
        return "there is no RabbitMQ to test with: apt-get install rabbitmq-server"
    if os.geteuid() != 0:
        return "RabbitMQ of Debian is started by root alone"
    return None


class RealRabbit(RealServer):
    """One broker on a port of its own, which ends as in a power cut."""

    def __init__(self, folder: Path) -> None:
        """Choose ports; Erlang takes two more."""
        folder.mkdir(parents=True)
        self._folder = folder
        self.port, self._distribution, self._epmd = free_ports(3)
        self._names = ServerProcess(folder / "epmd.log")
        self._broker = ServerProcess(folder / "rabbitmq.log")

    @property
    def url(self) -> str:
        """Its address for oslo.messaging."""
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it and wait until it speaks the protocol: it may listen before."""
        self._names.launch(["epmd"], environment=self._settings())
        self._names.await_answer(lambda: listens(self._epmd))
        self._broker.launch([str(PROGRAM)], environment=self._settings())
        try:
            self._broker.await_answer(lambda: _speaks(self.port), seconds=START_LIMIT)
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """See the base."""
        self._broker.kill()
        self._names.kill()

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


def _speaks(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(_GREETING)
            return probe.recv(1) == _METHOD
    except OSError:
        return False
