# SPDX-License-Identifier: Apache-2.0
"""What a plugin of listeners promises, as tests. A vendor inherits them and gives the module::

    class TestAcmeAudit(HooksConformance):
        @pytest.fixture
        def listener(self):
            return acme_audit

The numbers are those of ``docs/reference/contracts/hooks.rst``. What a listener is for is asked by
tests of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from glancekit.core.drivers import HOOKS, Loaded, PluginReport, PluginState
from glancekit.core.hooks import Hooks
from glancekit.core.stores import Store, Stores
from glancekit.plugin import API_LEVEL, Event
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.memory_store import MemoryStore

NAME = "listener"

EVENTS: Sequence[Event] = (
    Event(type="image.create", subject="1", position=1),
    Event(
        type="image.update",
        subject="1",
        project_id="p",
        user_id="u",
        request_id="req-1",
        payload={"name": "Grüße, 世界", "size": None, "tags": [], "properties": {}},
        position=2,
    ),
    Event(type="image.delete", subject="no such image", payload={}, position=3),
    Event(type="a.kind.of.a.later.release", subject="", position=4),
)
"""What may be told: a little, a lot, and what is not known yet."""


class HooksConformance:
    """The promises of a plugin that listens. Give ``listener``, its module."""

    # -- what a vendor gives

    @pytest.fixture
    def listener(self) -> Any:
        """The module, or whatever the entry point names. To be overridden."""
        pytest.fail("give your test class a fixture 'listener' that returns the module to test")

    # -- the kit's own

    def test_h01_it_says_what_it_was_written_for(self, listener: Any) -> None:
        assert isinstance(listener.api_level, int)
        assert 1 <= listener.api_level <= API_LEVEL

    def test_h02_its_listeners_are_of_hooks_that_there_are(self, listener: Any) -> None:
        report = Hooks().add_loaded(_loaded(listener))
        assert report.state is PluginState.OK, report.reason
        assert report.capabilities, "it listens to nothing: mark functions with hookimpl"

    def test_h03_it_takes_all_that_it_may_be_told(self, listener: Any) -> None:
        hooks = _alone(listener, "after_commit")
        for told in ([], EVENTS[:1], EVENTS):
            hooks.tell(NAME, told)

    def test_h04_it_may_be_told_twice(self, listener: Any) -> None:
        hooks = _alone(listener, "after_commit")
        for _ in range(2):
            hooks.tell(NAME, EVENTS)

    def test_h05_its_periodic_tasks_are_some(self, listener: Any) -> None:
        hooks = _alone(listener, "register_periodic_tasks")
        tasks = hooks.register_periodic_tasks(_world(hooks))
        assert tasks, "it said none, or failed to; the log says how"
        assert all(task.name and task.interval > 0 for task in tasks)
        assert len({task.name for task in tasks}) == len(tasks)


def _loaded(listener: Any) -> Loaded:
    return Loaded(report=PluginReport(group=HOOKS, name=NAME), driver=listener)


def _alone(listener: Any, hook: str) -> Hooks:
    """Return hooks to which nobody else listens; skip the test when it does not listen to this."""
    hooks = Hooks()
    if hook not in hooks.add_loaded(_loaded(listener)).capabilities:
        pytest.skip(f"it does not listen to {hook}")
    return hooks


def _world(hooks: Hooks) -> Any:
    stores = Stores([Store("memory", MemoryStore())], "memory")
    return SimpleNamespace(metadata=MemoryMetadata(), stores=stores, hooks=hooks)
