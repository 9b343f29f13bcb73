# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB for tests: in one folder, on 127.0.0.1. No running service imports it.

Also by hand: ``python -m glancekit_mysql_metadata.testing FOLDER`` keeps one up until its standard
input ends, and prints the URL of its database.
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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pymysql
from glancekit_sql_metadata.testing_plans import Cost
from sqlalchemy import Connection

PACKAGE = "mariadb-server"
USER = "mysql"
"""Whom root lets it run as: it refuses to run as root."""

START_LIMIT = 60.0
LIFETIME = 3600
"""Seconds after which it ends by itself, should nobody end it."""


def missing() -> str | None:
    """Say what has to be installed before a server can be started; None when nothing."""
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        return f"needs MariaDB; run: apt-get install --no-install-recommends {PACKAGE}"
    return None


def cost_of(connection: Connection, statement: str, parameters: Any) -> Cost:
    """Run a query, and return what it did."""
    plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings()
    scanned = [
        row["table"]
        for row in plan
        if row["type"] in ("ALL", "index") and row["table"] and not row["table"].startswith("<")
    ]
    connection.exec_driver_sql("FLUSH STATUS")
    connection.exec_driver_sql(statement, parameters).all()
    counted = connection.exec_driver_sql(
        "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%%' "
        "OR Variable_name = 'Sort_rows'"
    )
    counts = {name: int(count) for name, count in counted}
    # What is read of temporary tables is in these, too.
    read = sum(count for name, count in counts.items() if name != "Sort_rows")
    return Cost([name for name in scanned if name in BIG], read, counts["Sort_rows"])


BIG = ("images", "image_lists", "image_locations", "image_members", "events")
"""Tables that grow; statements call them by these names or by others."""


class RealMariadb:
    """One MariaDB, which can be killed and started again on its data.

    :param folder: does not exist yet, in one that everybody may pass through.
    :param durable: a commit is on the disk when it is acknowledged; without, tests are quicker.
    :param settings: what follows ``--`` on the server's command line.
    """

    def __init__(
        self, folder: Path, *, durable: bool = False, settings: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        self._settings = [*settings]
        if not durable:
            # What was committed outlives the process, not the machine.
            self._settings += ["innodb-flush-log-at-trx-commit=2", "skip-innodb-doublewrite"]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def url(self, database: str = "mysql", *, user: str = "glance") -> str:
        """Return the URL of a database."""
        return f"mysql://{user}:secret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait for it to answer."""
        command = ["timeout", "--signal=KILL", str(LIFETIME), "mariadbd", "--no-defaults"]
        command += [f"--datadir={self._folder / 'data'}", f"--port={self.port}"]
        command += ["--bind-address=127.0.0.1", f"--socket={self._folder / 'socket'}"]
        command += [f"--pid-file={self._folder / 'pid'}", "--skip-log-bin"]
        command += [f"--init-file={self._folder / 'init.sql'}"]
        # Not what the driver wants, so that it has to say what it wants.
        command += ["--character-set-server=latin1", "--collation-server=latin1_swedish_ci"]
        command += [f"--{setting}" for setting in self._settings]
        with (self._folder / "server.log").open("ab") as log:
            self._process = self._run(command, log.fileno())
        deadline = time.monotonic() + START_LIMIT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError((self._folder / "server.log").read_text()[-2000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """End it at once, as a crash does; what was committed stays."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End it, and forget its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, statement: str, database: str = "mysql") -> list[tuple[object, ...]]:
        """Do something with all rights; return the rows that come of it."""
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="glance",
            password="secret",
            database=database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and who was for it alone."""
        self.execute(f"DROP DATABASE `{name}`")
        self.execute(f"DROP USER IF EXISTS 'user_{name}'@'%'")

    def analyse(self, name: str) -> None:
        """Have it look at what is in a database, as it does by itself after a while."""
        self.execute(f"ANALYZE TABLE {', '.join(BIG)}", name)

    def connections(self, name: str) -> list[int]:
        """Return the numbers of the connections to a database."""
        found = self.execute(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        return [int(str(row[0])) for row in found]

    def cut(self, number: int) -> None:
        """End a connection."""
        self.execute(f"KILL {number}")

    def limit_connections(self, database: str, count: int) -> str:
        """Return the URL of a database for a user of its own who may have so many."""
        name = database.rpartition("/")[2]
        user = f"user_{name}"
        self.execute(
            f"GRANT ALL ON `{name}`.* TO '{user}'@'%' IDENTIFIED BY 'secret' "
            f"WITH MAX_USER_CONNECTIONS {count}"
        )
        return self.url(name, user=user)

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

    def _make(self) -> None:
        self._folder.mkdir(parents=True)
        if os.getuid() == 0:
            os.chown(self._folder, *_ids())
        (self._folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS 'glance'@'%' IDENTIFIED BY 'secret';\n"
            "GRANT ALL ON *.* TO 'glance'@'%' WITH GRANT OPTION;\n"
        )
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={self._folder / 'data'}"]
        command += ["--auth-root-authentication-method=normal", "--skip-test-db"]
        with (self._folder / "install.log").open("ab") as log:
            if self._run(command, log.fileno()).wait(120) != 0:
                raise RuntimeError((self._folder / "install.log").read_text())

    def _run(self, command: list[str], output: int) -> subprocess.Popen[bytes]:
        user, group = _ids() if os.getuid() == 0 else (None, None)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self._folder,
            user=user,
            group=group,
            extra_groups=[] if user is not None else None,
            start_new_session=True,
        )

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True


def _ids() -> tuple[int, int]:
    entry = pwd.getpwnam(USER)
    return entry.pw_uid, entry.pw_gid


def _main() -> None:
    with RealMariadb(Path(sys.argv[1])) as server:
        print(server.make_database("glance"), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main()
