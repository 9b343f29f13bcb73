# SPDX-License-Identifier: Apache-2.0
"""A simulated vCenter for tests: govmomi's simulator, in one folder and on 127.0.0.1.

No running service imports it. ``tools/vcsim.sh`` builds the program. Also by hand: ``python -m
glancekit_vmware_store.testing FOLDER`` keeps one up until its standard input ends, and prints its
address.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ENVIRONMENT = "GLANCEKIT_TEST_VCSIM"
FOLDER = ".venv-vcsim"
USER, PASSWORD = "user", "pass"
DATACENTER = "DC0"
DATASTORES = ("LocalDS_0", "LocalDS_1")
START = 30.0
"""Seconds a start may take; it takes 0.1."""


def built() -> Path | None:
    """Return the folder that ``tools/vcsim.sh`` made, here or above."""
    named = os.environ.get(ENVIRONMENT)
    here = Path.cwd()
    candidates = [Path(named)] if named else [path / FOLDER for path in (here, *here.parents)]
    return next((path.absolute() for path in candidates if (path / "bin/vcsim").is_file()), None)


def missing() -> str | None:
    """Say what has to be done before one can be started; None when nothing."""
    return None if built() else "there is no vCenter to test with: sh tools/vcsim.sh .venv-vcsim"


class Simulator:
    """A vCenter of one's own: the datacenter ``DC0`` with two datastores, which are folders."""

    def __init__(self, folder: Path, *, listen: str = "127.0.0.1:0", options: str = "") -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._listen = listen
        self._options = options.split()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        wsdl = _environment() / "share/vimService.wsdl"
        if wsdl.exists():
            shutil.copy(wsdl, self.folder)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return (self.folder / "address").read_text()

    @property
    def is_running(self) -> bool:
        """It was started, and not stopped since."""
        return self._process is not None

    def datastore(self, name: str = DATASTORES[0]) -> Path:
        """Return the folder that is a datastore."""
        return self.folder / "ds" / name

    def settings(self) -> dict[str, Any]:
        """Return the options of a store in its first datastore."""
        return {
            "vmware_server_host": self.address,
            "vmware_server_username": USER,
            "vmware_server_password": PASSWORD,
            "vmware_ca_file": str(self.ca_file),
            "vmware_datastores": [f"{DATACENTER}:{DATASTORES[0]}"],
        }

    def start(self) -> None:
        """Start it; after ``stop`` at the same address and with the same files."""
        command = [str(_environment() / "bin/vcsim"), "-dir", str(self.folder)]
        command += ["-listen", self._listen, *self._options]
        (self.folder / "address").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        end = time.monotonic() + START
        while not (self.folder / "address").exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.02)
        self._listen = self.address

    def stop(self) -> None:
        """End it at once; whoever talks to it notices."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it in its tracks: it takes connections and answers nothing."""
        self._running().send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._running().pid, os.WSTOPPED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        self._running().send_signal(signal.SIGCONT)

    def lose_answer(self, call: str) -> None:
        """Have the next call of this name carried out and the connection closed instead."""
        (self.folder / "lose").write_text(call)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("it does not run")
        return self._process


def _environment() -> Path:
    found = built()
    if found is None:
        raise RuntimeError(missing())
    return found


if __name__ == "__main__":
    with Simulator(Path(sys.argv[1]).absolute()) as simulator:
        print(simulator.address, flush=True)
        sys.stdin.read()
