# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite that is about periodic tasks; ``MetadataConformance`` has it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Conflict, MetadataError
from glancekit.core.model.periodic import PeriodicRun, PeriodicState
from glancekit.testing.metadata_samples import MORNING

_MINUTE = timedelta(minutes=1)

_WHOLE = PeriodicState(
    name="outbox for Grüße",
    host="a.example",
    is_paused=True,
    requested_at=MORNING,
    due_at=MORNING + _MINUTE,
    started_at=MORNING - _MINUTE,
    ended_at=MORNING,
    runner="a/1/2",
    result="7 things",
    error="OSError: no\n" * 100,
)


class PeriodicConformance:
    """What every metadata driver promises about periodic tasks."""

    def test_m81_a_state_comes_back_as_it_was(self, driver: MetadataDriver) -> None:
        """M81: all of a state is kept, one for each name and host; unknown ones are bare."""
        elsewhere = PeriodicState(name=_WHOLE.name, host="b.example")
        service = PeriodicState(name="another")
        with driver.unit_of_work() as work:
            saved = [work.periodic.save(state) for state in (_WHOLE, elsewhere, service)]
            work.commit()
        assert saved[0] == replace(_WHOLE, version=1)
        with driver.unit_of_work(read_only=True) as work:
            assert work.periodic.get(_WHOLE.name, _WHOLE.host) == saved[0]
            assert work.periodic.get("another") == saved[2]
            assert work.periodic.get(_WHOLE.name) == PeriodicState(name=_WHOLE.name)
            assert list(work.periodic.all()) == [saved[2], saved[0], saved[1]]

    def test_m82_a_state_is_saved_by_compare_and_set(self, driver: MetadataDriver) -> None:
        """M82: who read an older version does not save, the first time neither."""
        with driver.unit_of_work() as work:
            first = work.periodic.save(PeriodicState(name="t"))
            with pytest.raises(Conflict):
                work.periodic.save(PeriodicState(name="t"))
            second = work.periodic.save(replace(first, runner="r"))
            with pytest.raises(Conflict):
                work.periodic.save(first)
            assert (second.version, second.runner) == (2, "r")
            work.commit()
        with driver.unit_of_work() as work:
            assert work.periodic.get("t") == second

    def test_m83_of_many_at_once_one_begins(self, driver: MetadataDriver) -> None:
        """M83: of threads that read and save the same state at once, each sees the one before."""
        began = [
            threading.Thread(target=_begin_unless_begun, args=(driver, number))
            for number in range(6)
        ]
        for thread in began:
            thread.start()
        for thread in began:
            thread.join()
        with driver.unit_of_work(read_only=True) as work:
            assert work.periodic.get("t").version == 1

    def test_m84_the_last_runs_are_remembered(self, driver: MetadataDriver) -> None:
        """M84: the newest come first; of each task and host so many are kept, others' stay."""
        here = [_run(number, host="a") for number in range(5)]
        there, other = _run(9, host="b"), replace(_run(9), name="other", error="e")
        with driver.unit_of_work() as work:
            for run in (there, other, *here):
                work.periodic.remember(run, keep=3)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.periodic.history("t", limit=9)) == [*here[:1:-1], there]
            assert list(work.periodic.history("t", limit=2)) == [here[4], here[3]]
            assert list(work.periodic.history("other", limit=9)) == [other]

    def test_m85_forgetting_takes_state_and_runs(self, driver: MetadataDriver) -> None:
        """M85: forget drops one task's on one host; twice is harmless."""
        with driver.unit_of_work() as work:
            for host in ("a", "b"):
                work.periodic.save(PeriodicState(name="t", host=host))
                work.periodic.remember(_run(1, host=host), keep=3)
            for _ in range(2):
                work.periodic.forget("t", "a")
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert [state.host for state in work.periodic.all()] == ["b"]
            assert [run.host for run in work.periodic.history("t", limit=9)] == ["b"]

    def test_m86_reading_writes_no_state(self, driver: MetadataDriver) -> None:
        """M86: a read-only unit of work refuses to save, remember and forget."""
        attempts: list[Callable[[UnitOfWork], object]] = [
            lambda work: work.periodic.save(PeriodicState(name="t")),
            lambda work: work.periodic.remember(_run(1), keep=1),
            lambda work: work.periodic.forget("t"),
        ]
        for attempt in attempts:
            with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
                attempt(work)
        with driver.unit_of_work(read_only=True) as work:
            assert not work.periodic.all()
            assert not work.periodic.history("t", limit=1)


def _run(number: int, host: str = "") -> PeriodicRun:
    return PeriodicRun(
        name="t",
        host=host,
        runner="r",
        started_at=MORNING + number * _MINUTE,
        ended_at=MORNING + (number + 1) * _MINUTE,
        result=str(number),
    )


def _begin_unless_begun(driver: MetadataDriver, number: int) -> None:
    """Begin a task as a runner does, again where another was quicker."""
    while True:
        try:
            with driver.unit_of_work() as work:
                state = work.periodic.get("t")
                if state.started_at is None:
                    work.periodic.save(replace(state, started_at=MORNING, runner=str(number)))
                work.commit()
            return
        except Conflict:
            continue
