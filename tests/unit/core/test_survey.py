# SPDX-License-Identifier: Apache-2.0
"""A plugin that waits for its configuration is not a broken one."""

from __future__ import annotations

from typing import Any

import pytest

from glancekit.core.config import Configuration
from glancekit.core.drivers import PluginState
from glancekit.core.survey import unused

NEEDS_A_BUCKET = """
from glancekit.plugin import ConfigError, StoreDriver, StrOpt

class Driver(StoreDriver):
    api_level = 1
    options = (StrOpt("bucket", default="", help="Which."),)

    def __init__(self, options, *, name):
        {begins}

    def open(self, location): ...
    def size(self, location): ...
    def close(self): ...
"""


@pytest.mark.parametrize(
    ("begins", "state"),
    [
        ("raise ConfigError('bucket is empty')", PluginState.OK),
        ("raise OSError('no such thing')", PluginState.BROKEN),
    ],
)
def test_only_a_fault_of_its_own_breaks_what_nobody_uses(
    install: Any, begins: str, state: PluginState
) -> None:
    source = NEEDS_A_BUCKET.format(begins=begins)
    install("acme-bucket", source, {"glancekit.stores": {"bucket": ":Driver"}})
    reports = {report.name: report for report in unused(Configuration([]), ())}
    assert reports["bucket"].state is state, reports["bucket"].reason
