# SPDX-License-Identifier: Apache-2.0
"""``glancekit registry`` keeps the promises of every package of commands."""

from __future__ import annotations

from types import ModuleType

import pytest
from glancekit_registry_metadata import commands

from glancekit.testing import CommandsConformance, Typed


class TestConformance(CommandsConformance):
    names = ("registry",)
    examples = (
        Typed("registry", code=78, says="needs a metadata backend of its own"),
        Typed("registry --port 70000", code=2, says="--port"),
    )

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return commands

    @pytest.fixture
    def configuration(self) -> str:
        return "[metadata]\ndriver = registry\n"
