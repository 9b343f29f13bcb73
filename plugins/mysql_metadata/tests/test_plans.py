# SPDX-License-Identifier: Apache-2.0
"""MariaDB walks its indexes for every hot path. The cases are glancekit_sql_metadata's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest
from glancekit_mysql_metadata import testing
from glancekit_mysql_metadata.driver import MysqlMetadata
from glancekit_sql_metadata.testing_plans import CostOf, PlanConformance, fill


@pytest.fixture(scope="module")
def filled(
    server: testing.RealMariadb, options: Callable[..., SimpleNamespace]
) -> Iterator[MysqlMetadata]:
    name = f"plans_{uuid.uuid4().hex}"
    url = server.make_database(name)
    with closing(MysqlMetadata(options(connection=url), name="mysql")) as driver:
        driver.start()
        fill(driver)
        server.analyse(name)
        yield driver
    server.drop_database(name)


@pytest.fixture
def cost_of() -> CostOf:
    return testing.cost_of


class TestMysqlPlans(PlanConformance):
    """The suite for plans on a real server."""
