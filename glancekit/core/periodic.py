# SPDX-License-Identifier: Apache-2.0
"""Work that repeats, and the thread that sees to it. Which process may is decided by elections.

What a task does is its own business; so is being safe when it is cut off and run again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.stores import Stores

if TYPE_CHECKING:
    from glancekit.core.hooks import Hooks

log = logging.getLogger(__name__)

ELECTION_PAUSE = 1.0
"""Seconds between attempts to be elected: how long work rests when the elected process dies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """One thing to do every ``interval`` seconds, counted from start to start; first at once.

    It never runs twice at the same time. When it runs longer than ``deadline`` seconds, the log
    says so; the other tasks go on meanwhile. Up to ``jitter`` seconds, drawn anew each time, are
    added to the interval, so that what many do does not fall on the same moment.

    It runs once per interval in the whole service, or, where ``everywhere`` says so, once on each
    host: what it looks after is on that host's own disk. What ``run`` returns is kept, unless it
    is None, as the text of the last result.

    ``explain`` does nothing: it tells what a run would do now to which thing and why, a sentence
    for each, for a dry run.
    """

    name: str
    interval: float
    run: Callable[[], object]
    deadline: float = 600.0
    jitter: float = 0.0
    everywhere: bool = False
    explain: Callable[[], Iterable[str]] | None = None


class PeriodicWorld(Protocol):
    """What a periodic task gets to work with."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...

    @property
    def stores(self) -> Stores:
        """Where bytes live."""
        ...

    @property
    def hooks(self) -> Hooks:
        """Who listens."""
        ...


class Election(AbstractContextManager["Election"], Protocol):
    """A lock that one process holds at a time, of the whole service or of one host, until it
    leaves or dies.
    """

    def won(self) -> bool:
        """Take the lock if it is free; True when this process has it. Does not wait."""
        ...


class PeriodicRunner:
    """Runs tasks while this process is the elected one, each in a thread of its own.

    :param election: of the whole service, for the tasks that run once in it.
    :param on_host: of this host, for those that run everywhere; the same one if there is none.
    """

    def __init__(
        self, tasks: Sequence[PeriodicTask], election: Election, on_host: Election | None = None
    ) -> None:
        host = on_host or election
        self._rounds = [_Rounds(task, host if task.everywhere else election) for task in tasks]
        self._elections = [election] if on_host is None else [election, on_host]
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="periodic", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Start nothing more, and wait at most so many seconds for what is running.

        What still runs then is left behind: it ends with the process, which keeps the election
        until then.
        """
        end = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._running(), timeout)
            running = self._running()
        if running:
            log.warning("periodic tasks cut off by the stop: %s", ", ".join(running))
        if self._thread.is_alive():
            self._thread.join(max(0.0, end - time.monotonic()))

    def wake(self) -> None:
        """Make every task due now. May be called from any thread."""
        with self._changed:
            for rounds in self._rounds:
                rounds.due = 0.0
            self._changed.notify_all()

    def _loop(self) -> None:
        with ExitStack() as entered, self._changed:
            for election in self._elections:
                entered.enter_context(election)
            while not self._stopping:
                won = [each for each in self._elections if self._is_won(each)]
                self._changed.wait(self._begin_due(won))
            self._changed.wait_for(lambda: not self._running())

    def _is_won(self, election: Election) -> bool:
        try:
            return election.won()
        except Exception:  # the lock's folder may be back in a moment; nobody else would ask
            log.exception("could not find out whether this process is the elected one")
            return False

    def _begin_due(self, won: Sequence[Election]) -> float:
        """Start what is due and may; return the seconds until something else is."""
        now = time.monotonic()
        for rounds in self._rounds:
            if rounds.began is not None:
                rounds.complain(now)
            elif rounds.due <= now and rounds.election in won:
                self._begin(rounds, now)
        resting = [
            rounds.due - now
            for rounds in self._rounds
            if rounds.began is None and rounds.election in won
        ]
        return max(0.0, min([ELECTION_PAUSE, *resting]))

    def _begin(self, rounds: _Rounds, now: float) -> None:
        rounds.began = now
        rounds.due = now + rounds.task.interval + random.uniform(0.0, rounds.task.jitter)
        name = f"periodic {rounds.task.name}"
        try:
            threading.Thread(target=self._run, args=(rounds,), name=name, daemon=True).start()
        except RuntimeError as error:  # no thread to be had now; there may be one next time
            log.error("periodic task %s could not be started: %s", rounds.task.name, error)
            rounds.began = None

    def _run(self, rounds: _Rounds) -> None:
        task = rounds.task
        try:
            result = task.run()
            if result is not None:
                rounds.result = str(result)
        except Exception:  # a task that fails must not stop the others, or itself next time
            log.exception(
                "periodic task %s failed; it runs again in %g s", task.name, task.interval
            )
        finally:
            with self._changed:
                rounds.began = None
                rounds.has_complained = False
                self._changed.notify_all()

    def _running(self) -> list[str]:
        return [rounds.task.name for rounds in self._rounds if rounds.began is not None]


@dataclass(slots=True)
class _Rounds:
    """A task's rounds: when the next is due, and when the one under way began."""

    task: PeriodicTask
    election: Election
    due: float = 0.0
    began: float | None = None
    has_complained: bool = False
    result: str | None = None

    def complain(self, now: float) -> None:
        """Say once that the round under way takes longer than it should."""
        if self.began is None or self.has_complained or now - self.began <= self.task.deadline:
            return
        self.has_complained = True
        log.warning(
            "periodic task %s has been running for %d s; it is not started again before it ends, "
            "the others go on",
            self.task.name,
            now - self.began,
        )
