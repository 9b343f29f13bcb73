# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL for the fixtures of glancekit_sql_metadata."""

from __future__ import annotations

import pytest
from glancekit_postgresql_metadata import testing
from glancekit_postgresql_metadata.driver import PostgresqlMetadata
from glancekit_sql_metadata.testing_fixtures import (  # fixtures are found by their names here
    Backend,
    build,
    database,
    driver,
    reopen,
    room,
    server,
)

__all__ = ["backend", "build", "database", "driver", "reopen", "room", "server"]


@pytest.fixture(scope="session")
def backend() -> Backend:
    """What the tests are about."""
    return Backend(testing.RealPostgres, PostgresqlMetadata, "postgresql", testing.missing)
