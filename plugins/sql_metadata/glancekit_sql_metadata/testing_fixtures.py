# SPDX-License-Identifier: Apache-2.0
"""Fixtures of a real server, a database in it for each test, and drivers over that.

A plugin's conftest imports them, and has a fixture ``backend`` that says which server and driver
they are. No running service imports this.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.testing_server import RealDatabase

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


@dataclass(frozen=True)
class Backend:
    """A server and the driver for it."""

    server: type[RealDatabase]
    driver: type[ServerMetadata]
    name: str
    """What the driver is called in a configuration."""
    missing: Callable[[], str | None]
    """What has to be installed first, if anything."""

    def driver_over(self, connection: str, **settings: Any) -> ServerMetadata:
        """Return a driver over a database; what is not said is as in most tests."""
        chosen = SimpleNamespace(**{**SETTINGS, "connection": connection, **settings})
        return self.driver(chosen, name=self.name)


Build = Callable[..., ServerMetadata]


@pytest.fixture(scope="session")
def room(backend: Backend) -> Iterator[Path]:
    """A folder for servers, which a server's own user may enter."""
    reason = backend.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="glancekit-database-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def server(backend: Backend, room: Path) -> Iterator[RealDatabase]:
    """One server for all tests."""
    with backend.server(room / "server") as started:
        yield started


@pytest.fixture
def database(server: RealDatabase) -> Iterator[str]:
    """The URL of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    yield server.make_database(name)
    server.drop_database(name)


@pytest.fixture
def build(backend: Backend, database: str) -> Iterator[Build]:
    """Build drivers over the same database."""
    with ExitStack() as opened:

        def build(**settings: Any) -> ServerMetadata:
            driver = backend.driver_over(**{"connection": database, **settings})
            return opened.enter_context(closing(driver))

        yield build


@pytest.fixture
def reopen(build: Build) -> Callable[[], ServerMetadata]:
    """Start one more driver over the same database."""

    def start() -> ServerMetadata:
        driver = build()
        driver.start()
        return driver

    return start


@pytest.fixture
def driver(reopen: Callable[[], ServerMetadata]) -> ServerMetadata:
    """A started driver."""
    return reopen()
