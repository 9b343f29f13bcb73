# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL walks its indexes for every hot path. The cases are glancekit_sql_metadata's."""

from __future__ import annotations

import pytest
from glancekit_postgresql_metadata import testing
from glancekit_sql_metadata.testing_plans import CostOf, PlanConformance


class TestPostgresqlPlans(PlanConformance):
    """The suite for plans on a real server."""

    @pytest.fixture
    def cost_of(self) -> CostOf:
        """How it counts."""
        return testing.cost_of
