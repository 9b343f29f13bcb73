# SPDX-License-Identifier: Apache-2.0
"""A real database server for tests: in one folder, on 127.0.0.1. Which one is a subclass's.

No running service imports it.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from glancekit.testing.servers import SingleServer, free_port

INSTALLATION_LIMIT = 120.0
"""Seconds."""


class RealDatabase(SingleServer):
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
    encrypted: ClassVar[str]
    """A query that says whether the connection it comes by is encrypted."""

    def __init__(
        self, folder: Path, *, durable: bool = False, settings: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.settings = [*settings, *(() if durable else self.quicker)]
        self.port = free_port()
        super().__init__(folder / "server.log", user=self.user)
        folder.mkdir(parents=True)
        if os.getuid() == 0:
            entry = pwd.getpwnam(self.user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._process.run(self.installation(), seconds=INSTALLATION_LIMIT)

    @abstractmethod
    def installation(self) -> list[str]:
        """Return the command that makes its data, having made what that needs."""
        ...

    @abstractmethod
    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Do something with all rights; return the rows that come of it."""
        ...

    @abstractmethod
    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        ...

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        ...

    @abstractmethod
    def analyse(self, name: str) -> None:
        """Have it look at what is in a database now, for the plans that it makes."""
        ...

    @staticmethod
    @abstractmethod
    def encrypting(certificate: Path, key: Path) -> Sequence[str]:
        """Return the settings with which it encrypts connections."""
        ...

    @staticmethod
    @abstractmethod
    def vouched_for(authority: Path) -> str:
        """Return a URL's query for connections to servers that this authority vouches for."""
        ...

    def answers(self) -> bool:
        """See the base."""
        try:
            self.execute("SELECT 1")
        except self.silence:
            return False
        return True

    def kill(self) -> None:
        """End it at once, as a crash does; what was committed stays."""
        super().stop()

    def stop(self) -> None:
        """End it, and forget its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def keep_up(kind: type[RealDatabase]) -> None:
    """Keep one up in the folder of the command line until the standard input ends.

    The URL of its database is printed.
    """
    with kind(Path(sys.argv[1])) as server:
        print(server.make_database("glance"), flush=True)
        sys.stdin.read()
