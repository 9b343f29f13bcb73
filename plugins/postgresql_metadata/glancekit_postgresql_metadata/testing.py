# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests: in one folder, on 127.0.0.1. No running service imports it.

Also by hand: ``python -m glancekit_postgresql_metadata.testing FOLDER`` keeps one up until its
standard input ends, and prints the URL of its database.
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

import psycopg
from glancekit_sql_metadata.testing_plans import Cost
from sqlalchemy import Connection

PACKAGE = "postgresql"
USER = "postgres"
"""Whom root lets it run as: it refuses to run as root."""

START_LIMIT = 60.0
LIFETIME = 3600
"""Seconds after which it ends by itself, should nobody end it."""


def _programs() -> Path | None:
    """Return the folder of the newest server's programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    found = shutil.which("initdb")
    folders = [*debian, *([Path(found).resolve().parent] if found else [])]
    return next((one for one in reversed(folders) if (one / "initdb").exists()), None)


def missing() -> str | None:
    """Say what has to be installed before a server can be started; None when nothing."""
    if _programs() is None:
        return f"needs PostgreSQL; run: apt-get install --no-install-recommends {PACKAGE}"
    return None


def cost_of(connection: Connection, statement: str, parameters: Any) -> Cost:
    """Run a query, and return what it did."""
    explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
    (answer,) = connection.exec_driver_sql(explain, parameters).scalar_one()
    scanned: list[str] = []
    read = sorted_ = 0
    plans = [answer["Plan"]]
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", ())
        done = plan["Actual Rows"] * plan["Actual Loops"]
        if plan["Node Type"] in ("Seq Scan", "Bitmap Heap Scan") and done > 0:
            scanned.append(plan["Relation Name"])
        if "Relation Name" in plan:
            removed = plan.get("Rows Removed by Filter", 0) * plan["Actual Loops"]
            read += done + removed
        if plan["Node Type"] == "Sort":
            inner = plan["Plans"][0]
            sorted_ = max(sorted_, inner["Actual Rows"] * inner["Actual Loops"])
    return Cost(scanned, int(read), int(sorted_))


class RealPostgres:
    """One PostgreSQL, which can be killed and started again on its data.

    :param folder: does not exist yet, in one that everybody may pass through.
    :param durable: a commit is on the disk when it is acknowledged; without, tests are quicker.
    :param settings: lines for postgresql.conf.
    """

    def __init__(
        self, folder: Path, *, durable: bool = False, settings: Sequence[str] = ()
    ) -> None:
        programs = _programs()
        assert programs is not None, missing()
        self._programs = programs
        self._folder = folder
        self._settings = [*settings]
        if not durable:
            # What was committed outlives the process, not the machine.
            self._settings += ["fsync=off", "full_page_writes=off"]
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def url(self, database: str = "postgres", *, user: str = "glance") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:secret@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait for it to answer."""
        command = ["timeout", "--signal=KILL", str(LIFETIME), str(self._programs / "postgres")]
        command += ["-D", str(self._folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        for setting in self._settings:
            command += ["-c", setting]
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
            # What waits for the main process is left to see it off: it ends by itself then.
            for pid in self._processes() or [process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()

    def stop(self) -> None:
        """End it, and forget its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Do something as the superuser; return the rows that come of it."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def make_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        # A language of its own: what the driver makes must not depend on it.
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it, and who was for it alone."""
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        self.execute(f"DROP ROLE IF EXISTS user_{name}")

    def analyse(self, name: str) -> None:
        """Have it look at what is in a database, as it does by itself after a while."""
        self.execute("VACUUM ANALYZE", name)

    def connections(self, name: str) -> list[int]:
        """Return the numbers of the connections to a database."""
        found = self.execute(f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}'")
        return [int(str(row[0])) for row in found]

    def cut(self, number: int) -> None:
        """End a connection."""
        self.execute(f"SELECT pg_terminate_backend({number})")

    def limit_connections(self, database: str, count: int) -> str:
        """Return the URL of a database for a user of its own who may have so many."""
        name = database.rpartition("/")[2]
        user = f"user_{name}"
        self.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'secret' CONNECTION LIMIT {count}")
        for what in ("TABLES", "SEQUENCES"):
            self.execute(f"GRANT ALL ON ALL {what} IN SCHEMA public TO {user}", name)
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
        password = self._folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        command = [str(self._programs / "initdb"), "-D", str(self._folder / "data")]
        command += ["-U", "glance", "-A", "scram-sha-256", "--pwfile", str(password)]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
        with (self._folder / "initdb.log").open("ab") as log:
            if self._run(command, log.fileno()).wait(120) != 0:
                raise RuntimeError((self._folder / "initdb.log").read_text())

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
        except psycopg.OperationalError:
            return False
        return True

    def _processes(self) -> list[int]:
        """Return its main process and that one's children, which are stopped from becoming more.

        Left alone, a child goes on until it notices, and so long no other server may start.
        """
        try:
            main = int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(main, signal.SIGSTOP)
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [main, *_children(main)]


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # that one has ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _ids() -> tuple[int, int]:
    entry = pwd.getpwnam(USER)
    return entry.pw_uid, entry.pw_gid


def _main() -> None:
    with RealPostgres(Path(sys.argv[1])) as server:
        print(server.make_database("glance"), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    _main()
