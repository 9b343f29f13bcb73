# SPDX-License-Identifier: Apache-2.0
"""What is kept of periodic tasks, and what follows from it: whether one is due, how it went.

A start is written down before it happens, by compare-and-set. So a task runs once in its interval
whoever has its lock, and not while a run of it is under way in a process that lives.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Conflict, MetadataError
from glancekit.core.lease import is_gone
from glancekit.core.model.image import now
from glancekit.core.model.periodic import PeriodicRun, PeriodicState

if TYPE_CHECKING:
    from glancekit.core.periodic import PeriodicTask

log = logging.getLogger(__name__)

KEPT = 50
"""Runs of one task on one host that are remembered."""

LONGEST_TEXT = 2000
"""Characters of a result or an error that are kept."""

AGAIN = 5.0
"""Seconds until it is asked again whether a task may run that another process has, or a pause."""

QUICK = 10.0
"""Seconds; where one process of a host alone may run a task that is due more often, its starts
need not be written down to happen once, and are not: an idle service leaves the disk alone."""

QUICK_WRITTEN = 60.0
"""Seconds between two starts of such a task that are written down."""

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was begun; ``is_written`` when others can know of it."""

    key: Key
    at: datetime
    is_written: bool
    was_asked_for: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How a task stands, as it matters to whoever could run it."""

    state: PeriodicState
    is_cut_off: bool


class Ledger:
    """The records of periodic tasks, as one process keeps them.

    :param holder: this process, by the name of its lease.
    :param host: this host, by the name that an operator knows.
    :param shared: other hosts run the service's tasks, too.
    """

    def __init__(self, metadata: MetadataDriver, holder: str, host: str, *, shared: bool) -> None:
        self._metadata = metadata
        self._holder = holder
        self._host = host
        self._shared = shared
        self._written: dict[Key, float] = {}

    def key_of(self, task: PeriodicTask) -> Key:
        """Return the name under which a task stands."""
        return task.name, self._host if task.everywhere else ""

    def standings(self) -> Mapping[Key, Standing]:
        """Return how all tasks stand, by name and host, in one look.

        :raises MetadataError: when the records cannot be read.
        """
        with self._metadata.unit_of_work(read_only=True) as work:
            states = work.periodic.all()
            for state in states:
                if state.requested_at is not None:  # its next start is to be written down
                    self._written.pop((state.name, state.host), None)
            return {
                (state.name, state.host): Standing(
                    state, state.is_under_way and not self._is_alive(work, state.runner)
                )
                for state in states
            }

    def begin(self, task: PeriodicTask, *, was_asked_for: bool = False) -> Begun | float:
        """Write down that a task begins, or return in how many seconds to ask again.

        :param was_asked_for: run it now, due and paused or not.
        :raises MetadataError: when it cannot be written down; then it must not begin.
        """
        key = self.key_of(task)
        if not was_asked_for and self._goes_without(task):
            return Begun(key, now(), is_written=False)
        try:
            with self._metadata.unit_of_work() as work:
                state = work.periodic.get(*key)
                is_asked = was_asked_for or state.requested_at is not None
                wait = self._wait(work, task, state, is_asked=is_asked)
                if wait > 0:
                    return wait
                if state.is_under_way:
                    _remember_cut_off(work, state)
                at = now()  # the interval begins here, however long the records let it wait
                work.periodic.save(self._started(task, state, at))
                work.commit()
        except Conflict:
            return AGAIN
        self._written[key] = time.monotonic()
        return Begun(key, at, is_written=True, was_asked_for=is_asked)

    def end(self, begun: Begun, result: object, error: str | None, *, cut_off: bool) -> None:
        """Write down how a run went. One that was cut off is due again at once, for anybody.

        :raises MetadataError: when that cannot be; then it looks like a run that was cut off.
        """
        text = None if result is None else str(result)[:LONGEST_TEXT]
        with self._metadata.unit_of_work() as work:
            state = work.periodic.get(*begun.key)
            is_news = text != state.result and text is not None
            if not (begun.is_written or is_news or error != state.error):
                return
            if begun.is_written and not self._is_of(begun, state):
                return  # it was taken for dead, and another goes on
            ended = replace(
                state,
                started_at=begun.at,
                ended_at=now(),
                runner=self._holder,
                result=text if text is not None or error is not None else state.result,
                error=None if error is None else error[:LONGEST_TEXT],
                due_at=now() if cut_off else state.due_at,
            )
            work.periodic.save(ended)
            if begun.was_asked_for or is_news or error is not None:
                work.periodic.remember(_run_of(ended), keep=KEPT)
            work.commit()

    def _is_of(self, begun: Begun, state: PeriodicState) -> bool:
        return state.runner == self._holder and state.started_at == begun.at

    def _goes_without(self, task: PeriodicTask) -> bool:
        """Say whether this start need not be written down."""
        if task.interval >= QUICK or (self._shared and not task.everywhere):
            return False
        written = self._written.get(self.key_of(task))
        return written is not None and time.monotonic() - written < QUICK_WRITTEN

    def _wait(
        self, work: UnitOfWork, task: PeriodicTask, state: PeriodicState, *, is_asked: bool
    ) -> float:
        if state.is_under_way:
            if state.runner != self._holder and self._is_alive(work, state.runner):
                return AGAIN
            is_asked = is_asked or not state.is_paused  # somebody has to go on with it
        if is_asked:
            return 0.0
        if state.is_paused:
            return AGAIN
        if state.due_at is None:
            return 0.0
        # Whose clock was ahead must not put a task off for longer than it ever waits.
        return min((state.due_at - now()).total_seconds(), task.interval + task.jitter)

    def _started(self, task: PeriodicTask, state: PeriodicState, at: datetime) -> PeriodicState:
        pause = task.interval + random.uniform(0.0, task.jitter)
        return replace(
            state,
            requested_at=None,
            due_at=at + timedelta(seconds=pause),
            started_at=at,
            ended_at=None,
            runner=self._holder,
        )

    def _is_alive(self, work: UnitOfWork, runner: str) -> bool:
        return runner in work.leases.holders(alive_at=now()) and not is_gone(runner)


def _remember_cut_off(work: UnitOfWork, state: PeriodicState) -> None:
    over = replace(state, ended_at=now(), result=None, error="cut off: its process is gone")
    work.periodic.remember(_run_of(over), keep=KEPT)
    log.warning("periodic task %s was cut off; its process is gone: %s", state.name, state.runner)


def _run_of(state: PeriodicState) -> PeriodicRun:
    assert state.started_at is not None and state.ended_at is not None
    return PeriodicRun(
        name=state.name,
        host=state.host,
        runner=state.runner,
        started_at=state.started_at,
        ended_at=state.ended_at,
        result=state.result,
        error=state.error,
    )


def look(ledger: Ledger) -> Mapping[Key, Standing] | None:
    """Return how all tasks stand; None, and a line in the log, when the records do not tell."""
    try:
        return ledger.standings()
    except MetadataError as error:
        log.warning("cannot see how periodic tasks stand, will look again: %s", error)
        return None
