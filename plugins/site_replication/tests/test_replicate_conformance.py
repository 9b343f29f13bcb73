# SPDX-License-Identifier: Apache-2.0
"""``glancekit replicate`` keeps the promises of every package of commands."""

from __future__ import annotations

from types import ModuleType

import pytest
from glancekit_site_replication import commands

from glancekit.testing import CommandsConformance, Typed


class TestConformance(CommandsConformance):
    names = ("replicate",)
    examples = (
        Typed("replicate sync", code=2, says="--link NAME"),
        Typed("replicate sync --link nightly", code=78, says="nightly"),
        Typed("replicate size away", code=7, says="away does not list images"),
        Typed("replicate load {folder} here --pull north", code=2, says="--pull"),
    )

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return commands

    @pytest.fixture
    def configuration(self) -> str:
        return "[site_away]\nurl = http://127.0.0.1:9\n"
