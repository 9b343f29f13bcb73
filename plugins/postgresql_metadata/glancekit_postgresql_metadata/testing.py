# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL for tests: in one folder, on 127.0.0.1. No running service imports it.

Also by hand: ``python -m glancekit_postgresql_metadata.testing FOLDER`` keeps one up until its
standard input ends, and prints the URL of its database.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from glancekit_sql_metadata.testing_plans import Cost
from glancekit_sql_metadata.testing_server import RealDatabase, keep_up
from sqlalchemy import Connection

from glancekit.testing.servers import START_LIMIT

PACKAGE = "postgresql"


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


class RealPostgres(RealDatabase):
    """One PostgreSQL, which can be killed and started again on its data."""

    user = "postgres"
    quicker = ("fsync=off", "full_page_writes=off")
    silence = psycopg.OperationalError
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"

    def url(self, database: str = "postgres", *, user: str = "glance") -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:secret@127.0.0.1:{self.port}/{database}"

    def installation(self) -> list[str]:
        """See the base."""
        password = self.folder / "password"
        password.write_text("secret")
        password.chmod(0o644)
        command = [_program("initdb"), "-D", str(self.folder / "data")]
        command += ["-U", "glance", "-A", "scram-sha-256", "--pwfile", str(password)]
        return [*command, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]

    def command(self) -> list[str]:
        """See the base."""
        command = [_program("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        for setting in self.settings:
            command += ["-c", setting]
        return command

    def kill(self) -> None:
        """See the base: its processes leave the session that they were started in."""
        for pid in self._processes() if self.is_running else []:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().kill()

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

    @staticmethod
    def encrypting(certificate: Path, key: Path) -> list[str]:
        """See the base."""
        return ["ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}"]

    @staticmethod
    def vouched_for(authority: Path) -> str:
        """See the base."""
        return f"sslrootcert={authority}&sslmode=verify-full"

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

    def _processes(self) -> list[int]:
        """Return its main process and that one's children, which are stopped from becoming more.

        Left alone, a child goes on until it notices, and so long no other server may start.
        """
        try:
            main = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
            os.kill(main, signal.SIGSTOP)
        except (FileNotFoundError, ProcessLookupError):
            return []
        return [main, *_children(main)]


class RealStandby(RealPostgres):
    """One that follows another, durably, until it is promoted: whatever that commits waits for it.

    :param primary: the server that is followed; it runs.
    """

    def __init__(self, folder: Path, *, primary: RealPostgres) -> None:
        self._primary = primary
        super().__init__(folder, durable=True, settings=("hot_standby=on",))

    def installation(self) -> list[str]:
        """See the base: a copy of the primary, which tells it where that is."""
        command = [
            _program("pg_basebackup"),
            "-D",
            str(self.folder / "data"),
            "-R",
            "-X",
            "stream",
        ]
        return [*command, "-c", "fast", "-d", self._primary.url()]

    def follow(self) -> None:
        """Have the primary wait for this one from now on, and return when it does."""
        self._primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._primary.execute("SELECT pg_reload_conf()")
        state = "SELECT sync_state FROM pg_stat_replication"
        deadline = time.monotonic() + START_LIMIT
        while self._primary.execute(state) != [("sync",)]:
            if time.monotonic() > deadline:
                raise RuntimeError(self._process.said())
            time.sleep(0.05)

    def promote(self) -> None:
        """Make it the primary: no longer waiting for anybody, and taking changes."""
        self.execute("SELECT pg_promote()")
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.execute("SELECT pg_reload_conf()")


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # that one has ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _program(name: str) -> str:
    folder = _programs()
    assert folder is not None, missing()
    return str(folder / name)


if __name__ == "__main__":
    keep_up(RealPostgres)
