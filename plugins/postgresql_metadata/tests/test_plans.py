# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL walks its indexes for every hot path. The cases are glancekit_sql_metadata's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from glancekit_postgresql_metadata import testing
from glancekit_postgresql_metadata.driver import PostgresqlMetadata
from glancekit_sql_metadata.testing_plans import CostOf, PlanConformance, fill


@pytest.fixture(scope="module")
def filled(
    server: testing.RealPostgres, options: Callable[..., SimpleNamespace]
) -> Iterator[PostgresqlMetadata]:
    name = f"plans_{uuid.uuid4().hex}"
    url = server.make_database(name)
    with closing(PostgresqlMetadata(options(connection=url), name="postgresql")) as driver:
        driver.start()
        fill(driver)
        server.analyse(name)
        yield driver
    server.drop_database(name)


@pytest.fixture
def cost_of() -> CostOf:
    return testing.cost_of


class TestPostgresqlPlans(PlanConformance):
    """The suite for plans on a real server."""
