# SPDX-License-Identifier: Apache-2.0
"""Real servers for tests: their processes, on 127.0.0.1, started, frozen, killed, started again.

What a server is configured with and what it is asked is the business of its plugin's ``testing``
module; what breaks on the way to it, of ``wire``.
"""

from __future__ import annotations

import itertools
import os
import pwd
import random
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = "127.0.0.1"

LIFETIME = 6 * 3600
"""Seconds after which a server ends by itself, should nobody end it.

It bounds the life of one whose tests were killed and could not, and nothing else: it is far more
than all tests take on a slow machine.
"""

FIRST_PORT, SLOTS, PORTS = 10_000, 22, 1000
"""Where the ports of tests begin, into how many slots they fall, and how many are in each."""

START_LIMIT = 90.0
"""Seconds that a start may take."""


class RealServer(ABC):
    """Something to test against that runs from ``start`` to ``stop``, and while it is entered."""

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait for it to answer; after ``stop`` with what it had.

        :raises RuntimeError: with the end of its log, when it does not.
        """
        ...

    @abstractmethod
    def stop(self) -> None:
        """End it at once; no harm where it does not run."""
        ...

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class ServerProcess:
    """One process of a server and its children, in a session of their own.

    ``log`` is the file to which goes what it says. Started by root, it runs as ``user``. It ends
    by itself after ``lifetime`` seconds; None is for a program that leaves its session, and so
    has to see to that itself.
    """

    def __init__(
        self, log: Path, *, user: str | None = None, lifetime: int | None = LIFETIME
    ) -> None:
        self._log = log
        self._user = user
        self._lifetime = lifetime
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def session(self) -> int:
        """The id of its session and process group.

        :raises RuntimeError: when it was not started, or was killed.
        """
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process.pid

    def launch(
        self, command: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start it and wait for nothing. ``environment`` comes on top of our own."""
        user, group = _ids(self._user)
        mortal = [] if self._lifetime is None else ["timeout", "-s", "KILL", str(self._lifetime)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*mortal, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._log.parent,
                env={**os.environ, **(environment or {})},
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=True,
            )

    def run(self, command: Sequence[str], *, seconds: float) -> None:
        """Run something of the server's to its end, as it would be run itself.

        :raises RuntimeError: with the end of the log, when it fails or takes longer.
        """
        self.launch(command)
        process = self._process
        assert process is not None
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code != 0:
            raise RuntimeError(f"{command[0]} failed\n{self.said()}")

    def await_answer(self, answers: Callable[[], bool], *, seconds: float = START_LIMIT) -> None:
        """Wait for it to answer.

        :raises RuntimeError: with the end of its log, when it ends or takes longer.
        """
        end = time.monotonic() + seconds
        while not answers():
            if not self.is_running or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"{self._log.stem} does not start\n{self.said()}")
            time.sleep(0.05)

    def said(self) -> str:
        """Return the end of its log."""
        return self._log.read_text(errors="replace")[-2000:]

    def kill(self) -> None:
        """End it and what it started at once, as a crash does."""
        process, self._process = self._process, None
        if process is None:
            return
        while self._lifetime is not None and process.poll() is None:
            _kill_but_leader(process.pid)
            time.sleep(0.01)
        with suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _await_all(process.pid, "Z")  # until then its children have its port

    def freeze(self) -> None:
        """Stop it in its tracks: connections are taken and nothing is answered."""
        os.killpg(self.session, signal.SIGSTOP)
        _await_all(self.session, "TZ")

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.session, signal.SIGCONT)


class SingleServer(RealServer):
    """A server of one process. A subclass says by which command it runs, and when it answers.

    ``log`` and ``user`` are a ``ServerProcess``'s.
    """

    def __init__(self, log: Path, *, user: str | None = None) -> None:
        self._process = ServerProcess(log, user=user)

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command that runs it."""
        ...

    @abstractmethod
    def answers(self) -> bool:
        """Say whether it does yet."""
        ...

    def environment(self) -> Mapping[str, str]:
        """Return what its environment has on top of our own."""
        return {}

    @property
    def is_running(self) -> bool:
        """It was started and has not ended."""
        return self._process.is_running

    def start(self) -> None:
        """See the base."""
        self._process.launch(self.command(), environment=self.environment())
        self._process.await_answer(self.answers)

    def stop(self) -> None:
        """See the base."""
        self._process.kill()

    def freeze(self) -> None:
        """Stop it in its tracks: it takes connections and answers nothing."""
        self._process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        self._process.thaw()


_turns = itertools.count(random.randrange(PORTS))


def free_ports(count: int) -> list[int]:
    """Return ports of this host that nobody has, all of them different.

    They are below those that the kernel gives to whoever asks for any, and so are still nobody's
    when a server comes to listen. Each process counts up in a slot of its own, so that tests
    which run side by side, or one after the other, do not choose the same.

    :raises RuntimeError: when there are none.
    """
    with ExitStack() as probes:
        return [_probed(probes) for _ in range(count)]


def free_port() -> int:
    """Return a port of this host that nobody has."""
    return free_ports(1)[0]


def listens(port: int) -> bool:
    """Say whether somebody listens on a port of this host."""
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def find_environment(variable: str, folder: str, *, has: str) -> Path | None:
    """Return the environment of programs to test with, if it was made.

    :param variable: an environment variable that may name it.
    :param folder: what it is called by default, here or in a folder above.
    :param has: a path in it that is there when it is whole.
    """
    named = os.environ.get(variable)
    here = Path.cwd()
    candidates = [Path(named)] if named else [path / folder for path in (here, *here.parents)]
    return next((path.absolute() for path in candidates if (path / has).exists()), None)


def _probed(probes: ExitStack) -> int:
    """Return the next port of our slot on which one can listen; the probe keeps it meanwhile."""
    first = FIRST_PORT + PORTS * (os.getpid() % SLOTS)
    for turn in itertools.islice(_turns, PORTS):
        port = first + turn % PORTS
        with suppress(OSError):  # somebody has it
            probes.enter_context(socket.create_server((HERE, port)))
            return port
    raise RuntimeError(f"no port from {first} to {first + PORTS - 1} is free")


def _ids(user: str | None) -> tuple[int, int] | tuple[None, None]:
    if user is None or os.getuid() != 0:
        return None, None
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def _kill_but_leader(group: int) -> None:
    """Kill all of a group but the command that bounds its life.

    That one sees its child off and ends. Killed with it, it would leave a server whose process id
    stays taken for as long as nobody asks after it, and some look whether theirs is still there.
    """
    for process in _members(group):
        if int(process.name) != group:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(group, signal.SIGCONT)  # it may have been frozen


def _await_all(group: int, states: str) -> None:
    """Wait until all threads of a process group are in one of these states of the kernel."""
    while any(state not in states for state in _states(group)):
        time.sleep(0.01)


def _states(group: int) -> Iterator[str]:
    """Yield the states of all threads of a process group."""
    for process in _members(group):
        with suppress(OSError):  # it has ended meanwhile
            yield from [_stat(thread)[0] for thread in (process / "task").iterdir()]


def _members(group: int) -> Iterator[Path]:
    """Yield what the kernel knows of each process of a group."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if _stat(process)[2] == str(group):
                yield process


def _stat(of: Path) -> list[str]:
    """Return what the kernel says of a process or thread: state, parent, group and more."""
    return (of / "stat").read_text().rpartition(")")[2].split()
