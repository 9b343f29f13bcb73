# SPDX-License-Identifier: Apache-2.0
"""A real MariaDB, a database in it for each test, and drivers over that."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_mysql_metadata import testing
from glancekit_mysql_metadata.driver import MysqlMetadata

SETTINGS = {
    "max_pool_size": 4,
    "max_overflow": 30,
    "pool_timeout": 20,
    "connection_recycle_time": 3600,
    "patience": 10,
    "connect_timeout": 5,
    "statement_timeout": 30,
    "lock_timeout": 20,
}

Build = Callable[..., MysqlMetadata]


@pytest.fixture(scope="session")
def server() -> Iterator[testing.RealMariadb]:
    """One server for all tests, in a folder that its own user may enter."""
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="glancekit-mariadb-"))
    folder.chmod(0o755)
    try:
        with testing.RealMariadb(folder / "server") as started:
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: testing.RealMariadb) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    yield server.make_database(name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def options() -> Callable[..., SimpleNamespace]:
    """Make a driver's options; what is not said is as in most tests."""
    return lambda **settings: SimpleNamespace(**{**SETTINGS, **settings})


@pytest.fixture
def build(database: str, options: Callable[..., SimpleNamespace]) -> Iterator[Build]:
    """Build drivers over the same database."""
    with ExitStack() as opened:

        def build(**settings: Any) -> MysqlMetadata:
            chosen = options(**{"connection": database, **settings})
            return opened.enter_context(closing(MysqlMetadata(chosen, name="mysql")))

        yield build


@pytest.fixture
def reopen(build: Build) -> Callable[[], MysqlMetadata]:
    """Start one more driver over the same database."""

    def start() -> MysqlMetadata:
        driver = build()
        driver.start()
        return driver

    return start


@pytest.fixture
def driver(reopen: Callable[[], MysqlMetadata]) -> MysqlMetadata:
    """A started driver."""
    return reopen()
