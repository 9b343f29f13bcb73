# SPDX-License-Identifier: Apache-2.0
"""``glancekit token`` keeps the promises of every package of commands."""

from __future__ import annotations

from types import ModuleType

import pytest
from glancekit_token_auth import commands

from glancekit.testing import CommandsConformance, Typed


class TestConformance(CommandsConformance):
    names = ("token",)
    examples = (
        Typed("token list", says="There are no tokens"),
        Typed("token create --user alice --project demo", says="Keep it"),
        Typed("token list -f json", says='"user": "alice"'),
        Typed("token revoke nothing", code=1, says="nothing"),
        Typed("token create --user alice", code=2, says="--project"),
    )

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return commands

    @pytest.fixture
    def configuration(self) -> str:
        return "[auth]\ndriver = token\n"
