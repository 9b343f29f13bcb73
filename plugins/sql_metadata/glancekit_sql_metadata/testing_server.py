# SPDX-License-Identifier: Apache-2.0
"""A real database server for tests: in one folder, on 127.0.0.1. Which one is a subclass's.

No running service imports it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

START_LIMIT = 60.0
"""Seconds."""

LIFETIME = 5400
"""Seconds after which it ends by itself, should nobody end it: more than all tests take."""


class RealServer(ABC):
    """One server, which can be killed and started again on its data.

    :param folder: does not exist yet, in one that everybody may pass through.
    :param durable: a commit is on the disk when it is acknowledged; without, tests are quicker.
    :param settings: what it is to be started with besides, in its own words.
    """

    user: ClassVar[str]
    """As whom it runs where root starts it."""
    quicker: ClassVar[Sequence[str]]
    """Settings with which what was committed outlives the process, not the machine."""
    silence: ClassVar[type[Exception]]
    """What its client raises when it does not answer."""

    def __init__(
        self, folder: Path, *, durable: bool = False, settings: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.settings = [*settings, *(() if durable else self.quicker)]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        if os.getuid() == 0:
            os.chown(folder, *self._ids())
        with (folder / "install.log").open("ab") as log:
            if self._run(self.installation(), log.fileno()).wait(120) != 0:
                raise RuntimeError((folder / "install.log").read_text())

    @abstractmethod
    def installation(self) -> list[str]:
        """Return the command that makes its data, having made what that needs."""
        ...

    @abstractmethod
    def command(self) -> list[str]:
        """Return the command that runs it."""
        ...

    @abstractmethod
    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Do something with all rights; return the rows that come of it."""
        ...

    @abstractmethod
    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        ...

    def start(self) -> None:
        """Start it, and wait for it to answer."""
        command = ["timeout", "--signal=KILL", str(LIFETIME), *self.command()]
        with (self.folder / "server.log").open("ab") as log:
            self._process = self._run(command, log.fileno())
        deadline = time.monotonic() + START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError((self.folder / "server.log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash does; what was committed stays."""
        process, self._process = self._process, None
        if process is not None:
            self.strike(process.pid)
            process.wait()

    def strike(self, session: int) -> None:
        """Kill what runs in a session; a server whose children leave it says how else."""
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)

    def stop(self) -> None:
        """End it, and forget its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        user, group = self._ids() if os.getuid() == 0 else (None, None)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self.folder,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except self.silence:
            return False
        return True

    def _ids(self) -> tuple[int, int]:
        entry = pwd.getpwnam(self.user)
        return entry.pw_uid, entry.pw_gid


def keep_up(kind: type[RealServer]) -> None:
    """Keep one up in the folder of the command line until the standard input ends.

    The URL of its database is printed.
    """
    with kind(Path(sys.argv[1])) as server:
        print(server.make_database("glance"), flush=True)
        sys.stdin.read()
