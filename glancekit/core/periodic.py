# SPDX-License-Identifier: Apache-2.0
"""Work that repeats, and the thread that sees to it.

Which process of a host may is decided by an election; which host, in a cluster, by a lock for each
run. Whether a task is due is in the ledger. What a task does is its own business; so is being safe
when it is cut off and run again.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import GlancekitError, MetadataError
from glancekit.core.ledger import AGAIN, Begun, Key, Ledger, Standing, look
from glancekit.core.stores import Stores
from glancekit.core.turns import TurnOver, require_turn, turn_that_ends

if TYPE_CHECKING:
    from glancekit.core.hooks import Hooks

log = logging.getLogger(__name__)

GRACE = 10.0
"""Seconds for which a task may go on with the thing that it is at when its turn is over."""

ELECTION_PAUSE = 1.0
"""Seconds between attempts to be elected: how long work rests when the elected process dies."""

LOOK_PAUSE = 2.0
"""Seconds between looks at what was asked for, was paused or was cut off elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicTask:
    """One thing to do every ``interval`` seconds, counted from start to start; first at once.

    It never runs twice at the same time. When it runs longer than ``deadline`` seconds, the log
    says so; the other tasks go on meanwhile. Up to ``jitter`` seconds, drawn anew each time, are
    added to the interval, so that what many do does not fall on the same moment.

    It runs once per interval in the whole service, or, where ``everywhere`` says so, once on each
    host: what it looks after is on that host's own disk. What ``run`` returns is kept, unless it
    is None, as the text of the last result. Where ``run`` is a generator, each ``yield`` is
    between two things: there it is ended when its turn is over or its process stops, and what it
    returns is the result. What takes long should be one, or call ``require_turn``.

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

    def require_sound(self) -> None:
        """See that it can be run at all, before the others are run beside it.

        :raises TypeError: when a part of it is of no kind that it can be.
        :raises ValueError: when a number makes no sense.
        """
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"a periodic task is called {self.name!r:.80}, which is no name")
        if not callable(self.run) or not (self.explain is None or callable(self.explain)):
            raise TypeError(f"the periodic task {self.name} has nothing that can be called")
        for what in ("interval", "deadline", "jitter"):
            seconds = getattr(self, what)
            if not isinstance(seconds, int | float):
                raise TypeError(f"{what} of the periodic task {self.name} is {seconds!r:.80}")
            if not 0 <= seconds < math.inf or (what == "interval" and seconds == 0):
                raise ValueError(f"{what} of the periodic task {self.name} is {seconds}")


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
    """A lock that one process of a host holds at a time, until it leaves or dies."""

    def won(self) -> bool:
        """Take the lock if it is free; True when this process has it. Does not wait."""
        ...


class Turn(AbstractContextManager["Turn"], Protocol):
    """A lock that one host of a cluster holds at a time, for one run of a task."""

    def is_over(self) -> bool:
        """Say whether another host may have it now, or may soon."""
        ...


class Cluster(Protocol):
    """Where hosts take turns."""

    def take(self, name: str) -> Turn | None:
        """Return a turn at something, if nobody has one; does not wait and does not raise."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class PeriodicRunner:
    """Runs tasks while this process is the elected one of its host, each in a thread of its own.

    :param ledger: where starts and results are kept; without one nothing is kept, and a task is
        due as this process alone remembers.
    :param cluster: where the hosts take turns at what runs once in the whole service; without
        one, there is one host.
    """

    def __init__(
        self,
        tasks: Sequence[PeriodicTask],
        election: Election,
        *,
        ledger: Ledger | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self._rounds = [_Rounds(task) for task in tasks]
        self._election = election
        self._ledger = ledger
        self._cluster = cluster
        self._looked_at = -LOOK_PAUSE
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="periodic", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Start nothing more, and wait at most so many seconds for what is running; True when
        nothing is any more.

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
        return not running

    def _loop(self) -> None:
        with self._election as election:
            while not self._stopping:
                is_elected = self._is_won(election)
                standings = self._look() if is_elected else None
                with self._changed:
                    if not self._stopping:
                        self._heed(standings or {})
                        self._changed.wait(self._begin_due() if is_elected else ELECTION_PAUSE)
            with self._changed:
                self._changed.wait_for(lambda: not self._running())
            if self._cluster is not None:
                self._cluster.close()

    def _is_won(self, election: Election) -> bool:
        try:
            return election.won()
        except Exception:  # the lock's folder may be back in a moment; nobody else would ask
            log.exception("could not find out whether this process is the elected one")
            return False

    def _look(self) -> Mapping[Key, Standing] | None:
        if self._ledger is None or time.monotonic() - self._looked_at < LOOK_PAUSE:
            return None
        self._looked_at = time.monotonic()
        return look(self._ledger)

    def _heed(self, standings: Mapping[Key, Standing]) -> None:
        """Make due what was asked for or cut off elsewhere, and let rest what was paused."""
        for rounds in self._rounds:
            standing = standings.get(self._ledger.key_of(rounds.task)) if self._ledger else None
            if standing is None:
                continue
            rounds.is_asked_for = standing.state.requested_at is not None
            rounds.is_paused = standing.state.is_paused
            if rounds.began is None and (rounds.is_asked_for or standing.is_cut_off):
                rounds.due = 0.0

    def _begin_due(self) -> float:
        """Start what is due; return the seconds until something else is."""
        now = time.monotonic()
        for rounds in self._rounds:
            if rounds.began is not None:
                rounds.complain(now)
                rounds.complain_of_going_on(now)
            elif rounds.due <= now and rounds.may_run:
                self._begin(rounds, now)
        resting = [
            rounds.due - now for rounds in self._rounds if rounds.began is None and rounds.may_run
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
        wait: float | None = AGAIN
        try:
            wait = self._attempt(rounds)
        except MetadataError as error:
            log.warning("periodic task %s has to wait: %s", rounds.task.name, error)
        except Exception:
            log.exception("periodic task %s could not be begun", rounds.task.name)
        finally:
            with self._changed:
                if wait is not None:
                    rounds.due = time.monotonic() + wait
                rounds.began = None
                rounds.has_complained = False
                rounds.turn = rounds.over_since = None
                self._changed.notify_all()

    def _attempt(self, rounds: _Rounds) -> float | None:
        """Run a task if it may run now; else return in how many seconds to try again."""
        task = rounds.task
        if task.everywhere or self._cluster is None:
            turn: Turn | None = None
        else:
            turn = self._cluster.take(task.name)
            if turn is None:
                return min(ELECTION_PAUSE, task.interval)
        with turn or nullcontext():
            begun = None if self._ledger is None else self._ledger.begin(task)
            if isinstance(begun, float):
                return begun
            rounds.is_asked_for = False
            rounds.turn = turn
            doing = Doing(task, self._ledger, begun)
            doing.run(lambda: self._stopping or (turn is not None and turn.is_over()))
            return None

    def _running(self) -> list[str]:
        return [rounds.task.name for rounds in self._rounds if rounds.began is not None]


def to_the_end(result: object) -> object:
    """Go through the steps of what a task returned, if it has steps, and return its result.

    :raises TurnOver: between two steps, when the turn is over; the task is closed then.
    """
    if not isinstance(result, Generator):
        return result
    with closing(result):
        while True:
            try:
                next(result)
            except StopIteration as end:
                return end.value
            require_turn()


class Doing:
    """One run of a task from its start to the record of how it went."""

    def __init__(self, task: PeriodicTask, ledger: Ledger | None, begun: Begun | None) -> None:
        self._task = task
        self._ledger = ledger
        self._begun = begun
        self.result: str | None = None
        self.error: str | None = None
        self._is_cut_off = False

    def run(self, is_over: Callable[[], bool]) -> None:
        """Run it; what it raises is logged and kept. ``is_over`` ends it between two things."""
        task = self._task
        try:
            with turn_that_ends(is_over):
                result = to_the_end(task.run())
            self.result = None if result is None else str(result)
        except TurnOver:
            self._is_cut_off = True
            self.error = "cut off: its turn was over, or its process was told to stop"
            log.info("periodic task %s stopped midway; it is gone on with", task.name)
        except (Exception, SystemExit) as error:  # it stops neither the others nor itself later
            self.error = f"{type(error).__name__}: {error}"
            log.exception(
                "periodic task %s failed; it runs again in %g s", task.name, task.interval
            )
        self._keep()

    def _keep(self) -> None:
        if self._ledger is None or self._begun is None:
            return
        try:
            self._ledger.end(self._begun, self.result, self.error, cut_off=self._is_cut_off)
        except GlancekitError as error:
            log.warning("cannot keep how periodic task %s went: %s", self._task.name, error)


@dataclass(slots=True)
class _Rounds:
    """A task's rounds: when the next is due, and when the one under way began."""

    task: PeriodicTask
    due: float = 0.0
    began: float | None = None
    has_complained: bool = False
    is_paused: bool = False
    is_asked_for: bool = False
    turn: Turn | None = None
    over_since: float | None = None

    @property
    def may_run(self) -> bool:
        """Whether nobody paused it, or somebody asked for it all the same."""
        return self.is_asked_for or not self.is_paused

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

    def complain_of_going_on(self, now: float) -> None:
        """Say once that the round under way does not end though its turn is over."""
        if self.turn is None or self.over_since == math.inf or not self.turn.is_over():
            return
        if self.over_since is None:
            self.over_since = now
        elif now - self.over_since > GRACE:
            self.over_since = math.inf
            log.error(
                "periodic task %s goes on %d s after its turn was over, so another host may be at "
                "it, too; what takes long should yield between two things, or call require_turn()",
                self.task.name,
                GRACE,
            )
