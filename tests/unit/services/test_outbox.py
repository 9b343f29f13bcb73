# SPDX-License-Identifier: Apache-2.0
"""The outbox relay: in order, at least once, and none stops another."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.drivers import HOOKS, Loaded, PluginReport, PluginState
from glancekit.core.errors import PluginError, Unavailable
from glancekit.core.hooks import Hooks
from glancekit.core.hookspecs import hookimpl
from glancekit.core.model.events import Event
from glancekit.core.model.image import now
from glancekit.core.stores import Stores
from glancekit.services.builtins import audit_log, outbox
from glancekit.services.builtins.outbox import ATTEMPTS, BATCH, KEPT, Relay


@dataclass
class World:
    """As much of the world as a periodic task sees."""

    metadata: MetadataDriver
    hooks: Hooks = field(default_factory=Hooks)
    stores: Stores = None  # type: ignore[assignment]  # the outbox asks for none


class Listener:
    """Remembers what it heard, and fails as told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.fails_at: Callable[[str], bool] = lambda subject: False

    @hookimpl
    def after_commit(self, events: Sequence[Event]) -> None:
        for event in events:
            if self.fails_at(event.subject):
                raise OSError(f"cannot tell of {event.subject}")
            self.heard.append(event.subject)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    driver = load_metadata(load_config(overrides={("DEFAULT", "data_dir"): str(tmp_path)}))
    driver.start()
    yield World(driver)
    driver.close()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LONGEST_PAUSE", 0.0)


def happen(world: World, *subjects: str, age: timedelta = timedelta(0)) -> None:
    with world.metadata.unit_of_work() as work:
        for subject in subjects:
            work.events.append(Event(type="image.create", subject=subject, at=now() - age))
        work.commit()


def add_listener(world: World, name: str) -> Listener:
    listener = Listener()
    world.hooks.add(name, listener)
    return listener


def numbered(count: int) -> list[str]:
    return [f"image-{number:04}" for number in range(count)]


def test_events_are_told_once_in_order_and_then_no_more(world: World) -> None:
    listener = add_listener(world, "mail")
    happen(world, *numbered(BATCH * 2 + 3))
    Relay(world, "mail").run()
    assert listener.heard == numbered(BATCH * 2 + 3)
    Relay(world, "mail").run()  # as after a restart
    happen(world, "later")
    Relay(world, "mail").run()
    assert listener.heard == [*numbered(BATCH * 2 + 3), "later"]


def test_each_listener_has_a_task_and_a_cursor_of_its_own(world: World) -> None:
    calm, angry = add_listener(world, "calm"), add_listener(world, "angry")
    angry.fails_at = lambda subject: True
    happen(world, "a", "b")
    tasks = {task.name: task for task in outbox.register_periodic_tasks(world)}
    assert set(tasks) == {"outbox for angry", "outbox for calm", "outbox clearing"}
    tasks["outbox for angry"].run()
    tasks["outbox for calm"].run()
    assert calm.heard == ["a", "b"]
    assert angry.heard == []


def test_a_failing_listener_is_left_alone_for_a_while(world: World) -> None:
    listener = add_listener(world, "mail")
    tries = itertools.count()
    listener.fails_at = lambda subject: next(tries) >= 0
    happen(world, "a")
    relay = Relay(world, "mail")
    relay.run()
    relay.run()
    assert next(tries) == 1


def test_what_failed_is_told_again(world: World, no_pauses: None) -> None:
    listener = add_listener(world, "mail")
    listener.fails_at = lambda subject: subject == "b"
    happen(world, "a", "b", "c")
    relay = Relay(world, "mail")
    relay.run()
    listener.fails_at = lambda subject: False
    listener.heard.clear()
    relay.run()
    assert listener.heard == ["a", "b", "c"]  # at least once: "a" was told before


def test_an_event_that_cannot_be_told_is_skipped_alone_and_named(
    world: World, no_pauses: None, caplog: pytest.LogCaptureFixture
) -> None:
    listener = add_listener(world, "mail")
    listener.fails_at = lambda subject: subject == "poison"
    happen(world, "before", "poison", "after")
    relay = Relay(world, "mail")
    for _ in range(ATTEMPTS + 2):
        relay.run()
    assert listener.heard[-2:] == ["before", "after"]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "poison" in errors[0].getMessage()
    happen(world, "new")
    relay.run()
    assert listener.heard[-1] == "new"


def test_a_listener_whose_receiver_is_away_misses_nothing(world: World, no_pauses: None) -> None:
    listener = add_listener(world, "far")
    happen(world, "one", "two")
    away = Unavailable("nobody is there")

    def is_away(subject: str) -> bool:
        raise away

    listener.fails_at = is_away
    relay = Relay(world, "far")
    for _ in range(5 * ATTEMPTS):
        relay.run()
    listener.fails_at = lambda subject: False
    relay.run()
    assert listener.heard == ["one", "two"]


def test_old_events_are_dropped_when_everybody_was_told(world: World) -> None:
    add_listener(world, "mail")
    happen(world, "old", age=KEPT * 2)
    happen(world, "new")
    Relay(world, "mail").run()
    assert outbox.forget_old_events(world) == 1
    with world.metadata.unit_of_work(read_only=True) as work:
        assert [event.subject for event in work.events.after(0, limit=9)] == ["new"]


def test_an_uninstalled_listener_holds_nothing_back_a_broken_one_does(world: World) -> None:
    for name in ("mail", "broken", "uninstalled"):
        with world.metadata.unit_of_work() as work:
            work.events.advance(name, 0)
            work.commit()
    add_listener(world, "mail")
    report = PluginReport(group=HOOKS, name="broken", state=PluginState.BROKEN)
    happen(world, "old", age=KEPT * 2)
    Relay(world, "mail").run()
    assert outbox.forget_old_events(world) == 1
    happen(world, "also old", age=KEPT * 2)
    Relay(world, "mail").run()
    with world.metadata.unit_of_work() as work:
        work.events.advance("broken", 1)
        work.commit()
    world.hooks.add_loaded(Loaded(report=report, error=PluginError()))
    assert outbox.forget_old_events(world) == 0


def test_the_audit_log_says_who_did_what(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "glancekit.audit")
    event = Event(type="image.delete", subject="i", user_id="u", project_id="p", request_id="r")
    world.hooks.add("audit_log", audit_log)
    world.hooks.tell("audit_log", [event])
    (record,) = caplog.records
    assert record.getMessage() == "image.delete i by user u of project p"
    facts = vars(record)
    assert (facts["event"], facts["subject"], facts["request_id"]) == ("image.delete", "i", "r")
