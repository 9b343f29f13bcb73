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

import inspect
import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from glancekit.core.counters import Counters
from glancekit.core.drivers import HOOKS, Loaded, PluginReport, PluginState
from glancekit.core.hooks import Hooks
from glancekit.core.stores import Store, Stores
from glancekit.plugin import API_LEVEL, Event, Image, ImageStatus, Visibility
from glancekit.testing.hooks_reports import HooksReports
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


IMAGES: Sequence[Image] = (
    Image(id="usual", owner="p", name="cirros", disk_format="qcow2", container_format="bare"),
    Image(id="of nobody", owner=None),
    Image(
        id="described",
        owner="p",
        status=ImageStatus.ACTIVE,
        size=1 << 50,
        name="Grüße, 世界",
        visibility=Visibility.PUBLIC,
        properties={"os_distro": "debian", "os_secure_boot": "required"},
        tags=frozenset({"golden"}),
    ),
    Image(id="empty", owner="p", status=ImageStatus.ACTIVE, size=0),
)
"""What a plugin may be asked about."""


class HooksConformance(HooksReports):
    """The promises of a plugin that listens. Give ``listener``, its module or its object."""

    store_ids: ClassVar[Sequence[str]] = ("memory", "another")
    """The stores that there are in these tests; the first one is the default."""

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
            _tell(hooks, told)

    def test_h04_it_may_be_told_twice(self, listener: Any) -> None:
        hooks = _alone(listener, "after_commit")
        for _ in range(2):
            _tell(hooks, EVENTS)

    def test_h05_its_periodic_tasks_are_some(self, listener: Any) -> None:
        hooks = _alone(listener, "register_periodic_tasks")
        tasks = hooks.register_periodic_tasks(_world(hooks, self.store_ids))
        assert tasks, "it said none, or failed to; the log says how"
        assert all(task.name and task.interval > 0 for task in tasks)
        assert len({task.name for task in tasks}) == len(tasks)

    def test_h06_it_chooses_a_store_that_can_take_the_image(self, listener: Any) -> None:
        hooks = _alone(listener, "choose_store")
        stores = _stores(self.store_ids)
        sizes, projects = (None, 0, 1, 1 << 50), (None, "p", "nobody")
        for image, size, project in itertools.product(IMAGES, sizes, projects):
            hooks.choose_store(image, size, project, stores)
        assert not _faults(hooks)

    def test_h07_whether_to_cache_is_a_clear_answer(self, listener: Any) -> None:
        hooks = _alone(listener, "should_cache")
        for image in IMAGES:
            hooks.should_cache(image, _stores(self.store_ids))
        assert not _faults(hooks)

    def test_h08_its_options_say_what_they_mean(self, listener: Any) -> None:
        if inspect.ismodule(listener):
            pytest.skip("it is a module, which has no options")
        for option in listener.options:
            assert option.help, f"the option {option.name} has no help text"
        assert listener.section, "it is built with options and names no section for them"


class _Counted(Hooks):
    """Hooks of which the kit knows what is counted."""

    def __init__(self) -> None:
        self.counters = Counters()
        super().__init__(counters=self.counters)


def _loaded(listener: Any) -> Loaded:
    return Loaded(report=PluginReport(group=HOOKS, name=NAME), driver=listener)


def _alone(listener: Any, hook: str) -> _Counted:
    """Return hooks to which nobody else listens; skip the test when it does not listen to this."""
    hooks = _Counted()
    if hook not in hooks.add_loaded(_loaded(listener)).capabilities:
        pytest.skip(f"it does not listen to {hook}")
    return hooks


def _tell(hooks: Hooks, events: Sequence[Event]) -> None:
    """Tell the plugin, and all for whom it stands; what they raise is the test's."""
    for name in hooks.after_commit_listeners:
        hooks.tell(name, events)


def _faults(hooks: _Counted) -> list[str]:
    """Return what the service would have logged, and asked the next one."""
    return [
        f"{counted.operation}: {tally.last_error}"
        for counted, tally in hooks.counters.snapshot().items()
        if tally.errors
    ]


def _stores(ids: Sequence[str]) -> Stores:
    return Stores([Store(name, MemoryStore()) for name in ids], ids[0])


def _world(hooks: Hooks, ids: Sequence[str]) -> Any:
    return SimpleNamespace(metadata=MemoryMetadata(), stores=_stores(ids), hooks=hooks)
