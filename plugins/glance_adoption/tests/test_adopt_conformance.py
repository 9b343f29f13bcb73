# SPDX-License-Identifier: Apache-2.0
"""``glancekit adopt`` keeps the promises of every package of commands."""

from __future__ import annotations

from types import ModuleType

import pytest
from glancekit_glance_adoption import commands

from glancekit.testing import CommandsConformance, Typed

MISSING = "--from {folder}/glance-api.conf --into {folder}/glancekit.conf"


class TestConformance(CommandsConformance):
    names = ("adopt",)
    examples = (
        Typed("adopt", code=2, says="--from is missing"),
        Typed("adopt --verify --here http://127.0.0.1:9", code=2, says="--there"),
        Typed(f"adopt {MISSING} --dry-run", code=78, says="glance-api.conf"),
        Typed(f"adopt {MISSING}", code=78, says="glance-api.conf"),
    )

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return commands
