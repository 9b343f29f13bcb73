# SPDX-License-Identifier: Apache-2.0
"""Real Redis, etcd and ZooKeeper for tests: what several hosts agree by, each on its own port.

What they agree about is the business of those who ask them.
"""

from __future__ import annotations

import shutil
import socket
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from glancekit.testing.servers import HERE, SingleServer, free_port, listens

ZOOKEEPER = Path("/usr/share/java/zookeeper.jar")
"""Where Debian has it. It names the others that it needs by itself."""


class Coordinator(SingleServer):
    """One server. ``folder`` is where it keeps its data, which nothing outlives."""

    program: ClassVar[Path | str]
    """What has to be there: a path, or a program's name."""
    package: ClassVar[str]
    """Debian's package of it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "server.log")
        self._folder = folder
        self._port = free_port()

    @classmethod
    def missing(cls) -> str | None:
        """Say what has to be installed before one can be started; None when nothing."""
        if Path(cls.program).exists() or shutil.which(cls.program):
            return None
        package = cls.package
        return f"needs {package}; run: apt-get install --no-install-recommends {package}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HERE}:{self._port}"

    @abstractmethod
    def command(self) -> list[str]:
        """See the base."""
        ...

    def answers(self) -> bool:
        """See the base."""
        return listens(self._port)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.stop()


class Redis(Coordinator):
    """Keeps everything in memory."""

    program = "redis-server"
    package = "redis-server"

    def command(self) -> list[str]:
        """See the base."""
        where = ["--port", str(self._port), "--bind", HERE]
        return ["redis-server", *where, "--save", "", "--dir", str(self._folder)]


class Etcd(Coordinator):
    """A cluster of one."""

    program = "etcd"
    package = "etcd-server"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._peers = f"http://{HERE}:{free_port()}"

    def command(self) -> list[str]:
        """See the base."""
        url, data = f"http://{self.address}", self._folder / "data"
        return [
            *("etcd", "--data-dir", str(data), "--listen-client-urls", url),
            *("--advertise-client-urls", url, "--listen-peer-urls", self._peers),
            *("--initial-advertise-peer-urls", self._peers),
            *("--initial-cluster", f"default={self._peers}"),
        ]


class ZooKeeper(Coordinator):
    """Its sessions end between two and twenty seconds after their last sign of life."""

    program = ZOOKEEPER
    package = "zookeeper"

    def command(self) -> list[str]:
        """See the base."""
        config = self._folder / "zoo.cfg"
        lines = (
            *("tickTime=1000", f"dataDir={self._folder / 'data'}", f"clientPort={self._port}"),
            *(f"clientPortAddress={HERE}", "admin.enableServer=false"),
            "4lw.commands.whitelist=srvr,envi",
        )
        config.write_text("\n".join(lines))
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        return ["java", "-Xmx128m", "-cp", str(ZOOKEEPER), main, str(config)]

    def answers(self) -> bool:
        """It listens before it serves."""
        with suppress(OSError), socket.create_connection((HERE, self._port), 5) as line:
            line.sendall(b"srvr")
            return b"Mode:" in line.recv(4096)
        return False
