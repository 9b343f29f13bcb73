# SPDX-License-Identifier: Apache-2.0
"""What is kept of periodic tasks, and who may begin one when."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from glancekit.core import ledger as module
from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import MetadataUnavailable
from glancekit.core.lease import HOST
from glancekit.core.ledger import Begun, Ledger
from glancekit.core.model.image import now
from glancekit.core.model.periodic import PeriodicState
from glancekit.core.periodic import PeriodicTask
from glancekit.testing.memory_metadata import MemoryMetadata

MINUTE = timedelta(minutes=1)
HOURLY = PeriodicTask(name="hourly", interval=3600.0, run=list)
QUICK = PeriodicTask(name="quick", interval=1.0, run=list)


@pytest.fixture
def metadata() -> MetadataDriver:
    return MemoryMetadata()


def ledger(metadata: MetadataDriver, who: str, *, shared: bool = True) -> Ledger:
    """Return the ledger of a process that lives, on a host of its own."""
    with metadata.unit_of_work() as work:
        work.leases.renew(who, now() + MINUTE)
        work.commit()
    return Ledger(metadata, who, f"host of {who}", shared=shared)


def state(metadata: MetadataDriver, name: str = "hourly", host: str = "") -> PeriodicState:
    with metadata.unit_of_work(read_only=True) as work:
        return work.periodic.get(name, host)


def change(metadata: MetadataDriver, **facts: Any) -> None:
    with metadata.unit_of_work() as work:
        work.periodic.save(replace(work.periodic.get("hourly"), **facts))
        work.commit()


def begun(outcome: Begun | float) -> Begun:
    assert isinstance(outcome, Begun)
    return outcome


def test_a_task_runs_once_in_its_interval_whoever_asks(metadata: MetadataDriver) -> None:
    one, other = ledger(metadata, "one"), ledger(metadata, "other")
    first = begun(one.begin(HOURLY))
    assert other.begin(HOURLY) == module.AGAIN  # it is under way
    one.end(first, 7, None, cut_off=False)
    for each in (one, other):
        wait = each.begin(HOURLY)
        assert isinstance(wait, float) and 3590 < wait <= 3600
    kept = state(metadata)
    assert (kept.runner, kept.result, kept.error, kept.is_under_way) == ("one", "7", None, False)
    assert kept.due_at == first.at + 60 * MINUTE
    change(metadata, due_at=now())
    assert begun(other.begin(HOURLY)).is_written


class SlowMetadata(MemoryMetadata):
    """Records whose connections are long in coming; ``opened_at`` is when the last one came."""

    opened_at: datetime

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        time.sleep(0.1)
        self.opened_at = now()
        return super().unit_of_work(read_only=read_only)


def test_an_interval_begins_when_the_records_let_it() -> None:
    """Whoever waited for a connection begins later, and so does the next in turn."""
    metadata = SlowMetadata()
    one = ledger(metadata, "one")
    begun(one.begin(HOURLY))
    opened_at, kept = metadata.opened_at, state(metadata)
    assert kept.started_at is not None
    assert kept.started_at >= opened_at
    assert kept.due_at == kept.started_at + timedelta(hours=1)


def test_jitter_puts_the_next_start_off(
    metadata: MetadataDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    first = begun(ledger(metadata, "one").begin(replace(HOURLY, jitter=600.0)))
    assert state(metadata).due_at == first.at + 70 * MINUTE


def test_what_a_dead_process_began_is_gone_on_with_at_once(metadata: MetadataDriver) -> None:
    one, other = ledger(metadata, "one"), ledger(metadata, "other")
    began = begun(one.begin(HOURLY))
    assert not other.standings()["hourly", ""].is_cut_off
    with metadata.unit_of_work() as work:
        work.leases.renew("one", now() - MINUTE)
        work.commit()
    assert other.standings()["hourly", ""].is_cut_off
    begun(other.begin(HOURLY))
    with metadata.unit_of_work(read_only=True) as work:
        (lost,) = work.periodic.history("hourly", limit=9)
    assert (lost.runner, lost.started_at) == ("one", began.at)
    assert "cut off" in (lost.error or "")
    # Should it live after all, what it says of its run is not taken for the other's.
    one.end(began, "late", None, cut_off=False)
    assert (state(metadata).runner, state(metadata).is_under_way) == ("other", True)


def test_a_process_of_this_host_that_is_gone_need_not_be_waited_for(
    metadata: MetadataDriver,
) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    begun(ledger(metadata, f"{HOST}/{child}/{uuid.uuid4().hex[:8]}").begin(HOURLY))
    begun(ledger(metadata, "other").begin(HOURLY))


def test_a_run_whose_turn_was_over_is_due_again_at_once(metadata: MetadataDriver) -> None:
    one, other = ledger(metadata, "one"), ledger(metadata, "other")
    one.end(begun(one.begin(HOURLY)), None, "cut off", cut_off=True)
    begun(other.begin(HOURLY))


def test_a_paused_task_rests_unless_it_is_asked_for(metadata: MetadataDriver) -> None:
    one = ledger(metadata, "one")
    change(metadata, is_paused=True)
    assert one.begin(HOURLY) == module.AGAIN
    change(metadata, requested_at=now())
    asked = begun(one.begin(HOURLY))
    assert asked.was_asked_for
    assert state(metadata).requested_at is None
    one.end(asked, None, None, cut_off=False)
    assert one.begin(HOURLY) == module.AGAIN
    one.end(begun(one.begin(HOURLY, was_asked_for=True)), None, None, cut_off=False)
    assert state(metadata).is_paused
    with metadata.unit_of_work(read_only=True) as work:
        assert len(work.periodic.history("hourly", limit=9)) == 2


def test_one_clock_that_is_ahead_puts_nothing_off_for_long(metadata: MetadataDriver) -> None:
    change(metadata, due_at=now() + timedelta(days=365), ended_at=now(), started_at=now())
    assert ledger(metadata, "one").begin(HOURLY) == 3600.0


def test_history_has_what_was_said_and_no_repetition(metadata: MetadataDriver) -> None:
    one = ledger(metadata, "one")
    for result, error in ((1, None), (1, None), (None, "OSError: x"), (None, None), (2, None)):
        one.end(begun(one.begin(HOURLY, was_asked_for=False)), result, error, cut_off=False)
        change(metadata, due_at=now())
    with metadata.unit_of_work(read_only=True) as work:
        runs = work.periodic.history("hourly", limit=9)
    assert [(run.result, run.error) for run in runs] == [
        ("2", None),
        (None, "OSError: x"),
        ("1", None),
    ]


def test_what_runs_everywhere_stands_for_each_host(metadata: MetadataDriver) -> None:
    here = replace(HOURLY, everywhere=True)
    for who in ("one", "other"):
        begun(ledger(metadata, who).begin(here))
    assert state(metadata, host="host of one").runner == "one"
    assert state(metadata, host="host of other").runner == "other"


@pytest.mark.parametrize(("shared", "everywhere"), [(False, False), (False, True), (True, True)])
def test_quick_ones_of_one_host_leave_the_disk_alone(
    metadata: MetadataDriver, shared: bool, everywhere: bool
) -> None:
    one, task = ledger(metadata, "one", shared=shared), replace(QUICK, everywhere=everywhere)
    host = "host of one" if everywhere else ""
    one.end(begun(one.begin(task)), None, None, cut_off=False)
    version = state(metadata, "quick", host).version
    for _ in range(3):
        one.end(begun(one.begin(task)), None, None, cut_off=False)
    assert state(metadata, "quick", host).version == version
    one.end(begun(one.begin(task)), None, "OSError: x", cut_off=False)
    assert state(metadata, "quick", host).error == "OSError: x"  # but what happens is kept
    with metadata.unit_of_work() as work:
        found = work.periodic.get("quick", host)
        work.periodic.save(replace(found, requested_at=now()))
        work.commit()
    one.standings()
    assert begun(one.begin(task)).was_asked_for


def test_quick_ones_of_several_hosts_are_written_down(metadata: MetadataDriver) -> None:
    one, other = ledger(metadata, "one"), ledger(metadata, "other")
    for _ in range(2):
        one.end(begun(one.begin(QUICK)), None, None, cut_off=False)
        assert isinstance(other.begin(QUICK), float)
        with metadata.unit_of_work() as work:
            work.periodic.save(replace(work.periodic.get("quick"), due_at=now()))
            work.commit()


def test_records_that_do_not_answer_are_looked_at_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Away(MemoryMetadata):
        def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
            raise MetadataUnavailable("the database is away")

    assert module.look(Ledger(Away(), "one", "here", shared=True)) is None
    assert "the database is away" in caplog.text
