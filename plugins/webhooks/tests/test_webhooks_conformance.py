# SPDX-License-Identifier: Apache-2.0
"""``glancekit webhooks`` and its listeners keep the promises of every such plugin."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from glancekit_webhooks import commands
from glancekit_webhooks.listener import Webhooks

from glancekit.testing import CommandsConformance, HooksConformance, Typed


class TestListeners(HooksConformance):
    @pytest.fixture
    def listener(self, options_of: Callable[..., Any], hook: Any) -> Webhooks:
        return Webhooks(options_of(receivers={"ops": hook.url}), name="webhooks")


class TestCommands(CommandsConformance):
    names = ("webhooks",)
    examples = (
        Typed("webhooks dead"),
        Typed("webhooks retry", says="0 sent, 0 left"),
        Typed("webhooks replay nobody --from 1", code=1, says="no receiver 'nobody'"),
        Typed("webhooks replay nobody", code=2, says="--from"),
    )

    @pytest.fixture
    def plugin(self) -> ModuleType:
        return commands
