# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL, a database in it for each test, and drivers over that."""

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
from glancekit_postgresql_metadata import testing
from glancekit_postgresql_metadata.driver import PostgresqlMetadata

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

Build = Callable[..., PostgresqlMetadata]


@pytest.fixture(scope="session")
def server() -> Iterator[testing.RealPostgres]:
    """One server for all tests, in a folder that its own user may enter."""
    reason = testing.missing()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="glancekit-postgres-"))
    folder.chmod(0o755)
    try:
        with testing.RealPostgres(folder / "server") as started:
            yield started
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: testing.RealPostgres) -> Iterator[str]:
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

        def build(**settings: Any) -> PostgresqlMetadata:
            chosen = options(**{"connection": database, **settings})
            return opened.enter_context(closing(PostgresqlMetadata(chosen, name="postgresql")))

        yield build


@pytest.fixture
def reopen(build: Build) -> Callable[[], PostgresqlMetadata]:
    """Start one more driver over the same database."""

    def start() -> PostgresqlMetadata:
        driver = build()
        driver.start()
        return driver

    return start


@pytest.fixture
def driver(reopen: Callable[[], PostgresqlMetadata]) -> PostgresqlMetadata:
    """A started driver."""
    return reopen()
