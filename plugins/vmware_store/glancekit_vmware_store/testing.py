# SPDX-License-Identifier: Apache-2.0
"""A simulated vCenter for tests: govmomi's simulator, in one folder and on 127.0.0.1.

No running service imports it. ``tools/vcsim.sh`` builds the program. Also by hand: ``python -m
glancekit_vmware_store.testing FOLDER`` keeps one up until its standard input ends, and prints its
address.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glancekit.testing.servers import SingleServer, find_environment

ENVIRONMENT = "GLANCEKIT_TEST_VCSIM"
FOLDER = ".venv-vcsim"
USER, PASSWORD = "user", "pass"
DATACENTER = "DC0"
DATASTORES = ("LocalDS_0", "LocalDS_1")


def built() -> Path | None:
    """Return the folder that ``tools/vcsim.sh`` made, here or above."""
    return find_environment(ENVIRONMENT, FOLDER, has="bin/vcsim")


def missing() -> str | None:
    """Say what has to be done before one can be started; None when nothing."""
    return None if built() else "there is no vCenter to test with: sh tools/vcsim.sh .venv-vcsim"


class Simulator(SingleServer):
    """A vCenter of one's own: the datacenter ``DC0`` with two datastores, which are folders.

    Started again it is at the same address and has the same files.
    """

    def __init__(self, folder: Path, *, listen: str = "127.0.0.1:0", options: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "log")
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._listen = listen
        self._options = options.split()

    @property
    def address(self) -> str:
        """Where it listens, as host:port."""
        return (self.folder / "address").read_text()

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

    def command(self) -> Sequence[str]:
        """See the base."""
        command = [str(_environment() / "bin/vcsim"), "-dir", str(self.folder)]
        return [*command, "-listen", self._listen, *self._options]

    def answers(self) -> bool:
        """See the base: it writes down its address when it listens."""
        return (self.folder / "address").exists()

    def start(self) -> None:
        """See the base."""
        wsdl = _environment() / "share/vimService.wsdl"
        if wsdl.exists():
            shutil.copy(wsdl, self.folder)
        (self.folder / "address").unlink(missing_ok=True)
        super().start()
        self._listen = self.address

    def lose_answer(self, call: str) -> None:
        """Have the next call of this name carried out and the connection closed instead."""
        (self.folder / "lose").write_text(call)


def _environment() -> Path:
    found = built()
    if found is None:
        raise RuntimeError(missing())
    return found


if __name__ == "__main__":
    with Simulator(Path(sys.argv[1]).absolute()) as simulator:
        print(simulator.address, flush=True)
        sys.stdin.read()
