# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB for tests: in one folder, on 127.0.0.1. No running service imports it.

Also by hand: ``python -m glancekit_mysql_metadata.testing FOLDER`` keeps one up until its standard
input ends, and prints the URL of its database.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pymysql
from glancekit_sql_metadata.testing_plans import Cost
from glancekit_sql_metadata.testing_server import RealDatabase, keep_up
from sqlalchemy import Connection

PACKAGE = "mariadb-server"


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


class RealMariadb(RealDatabase):
    """One MariaDB, which can be killed and started again on its data."""

    user = "mysql"
    quicker = ("innodb-flush-log-at-trx-commit=2", "skip-innodb-doublewrite")
    silence = pymysql.OperationalError
    encrypted = (
        "SELECT variable_value <> '' FROM information_schema.session_status "
        "WHERE variable_name = 'Ssl_cipher'"
    )

    def url(self, database: str = "mysql", *, user: str = "glance") -> str:
        """Return the URL of a database."""
        return f"mysql://{user}:secret@127.0.0.1:{self.port}/{database}"

    def installation(self) -> list[str]:
        """See the base."""
        (self.folder / "init.sql").write_text(
            "CREATE USER IF NOT EXISTS 'glance'@'%' IDENTIFIED BY 'secret';\n"
            "GRANT ALL ON *.* TO 'glance'@'%' WITH GRANT OPTION;\n"
        )
        command = ["mariadb-install-db", "--no-defaults", f"--datadir={self.folder / 'data'}"]
        return [*command, "--auth-root-authentication-method=normal", "--skip-test-db"]

    def command(self) -> list[str]:
        """See the base."""
        return [
            "mariadbd",
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            "--skip-log-bin",
            f"--init-file={self.folder / 'init.sql'}",
            # Not what the driver wants, so that it has to say what it wants.
            "--character-set-server=latin1",
            "--collation-server=latin1_swedish_ci",
            *(f"--{setting}" for setting in self.settings),
        ]

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

    @staticmethod
    def encrypting(certificate: Path, key: Path) -> list[str]:
        """See the base."""
        return [f"ssl-cert={certificate}", f"ssl-key={key}"]

    @staticmethod
    def vouched_for(authority: Path) -> str:
        """See the base."""
        return f"ssl_ca={authority}&ssl_check_hostname=true"

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


if __name__ == "__main__":
    keep_up(RealMariadb)
