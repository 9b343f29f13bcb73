# SPDX-License-Identifier: Apache-2.0
"""The relay: tells listeners of ``after_commit`` what the outbox holds, in order, at least once.

Each listener has a cursor in the database and a periodic task of its own, so that one which fails
or hangs keeps nobody waiting. What a listener makes of an event is its own business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from glancekit.core.model.image import now
from glancekit.core.periodic import PeriodicWorld
from glancekit.plugin import Event, PeriodicTask, Unavailable, hookimpl

api_level = 1

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between looks at the outbox: about how late a listener hears."""

BATCH = 100
"""Events told in one call."""

ROUNDS = 50
"""Batches told in one run, so that a stopping service need not wait for a whole backlog."""

ATTEMPTS = 10
"""How often a listener may fail at one event before it has to do without it. One that raises
``Unavailable`` says that it is not the event: it is asked again for as long as it takes."""

LONGEST_PAUSE = 60.0
"""Seconds between attempts grow up to this; ten of them take about five minutes."""

KEPT = timedelta(days=1)
"""How long events are kept that everybody was told."""

PRUNING = 60.0
"""Seconds between clearings of the outbox."""


@hookimpl
def register_periodic_tasks(world: PeriodicWorld) -> list[PeriodicTask]:
    """Offer one relay for each listener, and the clearing of the outbox."""
    tasks = [
        PeriodicTask(name=f"outbox for {name}", interval=INTERVAL, run=Relay(world, name).run)
        for name in world.hooks.after_commit_listeners
    ]
    prune = partial(forget_old_events, world)
    return [*tasks, PeriodicTask(name="outbox clearing", interval=PRUNING, run=prune)]


def forget_old_events(world: PeriodicWorld) -> int:
    """Drop events that are old and that everybody was told; return how many.

    A listener that was uninstalled holds nothing back; one that is broken today does.
    """
    with world.metadata.unit_of_work() as work:
        work.events.retain(world.hooks.names)
        count = work.events.prune(now() - KEPT)
        work.commit()
    return count


class Relay:
    """Brings one listener up to date."""

    def __init__(self, world: PeriodicWorld, listener: str) -> None:
        self._world = world
        self._listener = listener
        self._failures = 0
        self._not_before = 0.0
        self._careful_until = 0

    def run(self) -> None:
        """Tell what is new, unless the listener failed a moment ago."""
        if time.monotonic() < self._not_before:
            return
        for _ in range(ROUNDS):
            events = self._next()
            if not events or not self._tell(events):
                return

    def _next(self) -> Sequence[Event]:
        with self._world.metadata.unit_of_work(read_only=True) as work:
            cursor = work.events.cursor(self._listener)
            # Within a batch that failed, one by one: only the event that cannot be told is lost.
            limit = 1 if cursor < self._careful_until else BATCH
            return work.events.after(cursor, limit=limit)

    def _tell(self, events: Sequence[Event]) -> bool:
        """Tell a batch; False when the listener should be left alone for a while."""
        try:
            self._world.hooks.tell(self._listener, events)
        except Exception as error:
            return self._failed(events, error)
        self._told(events)
        return True

    def _told(self, events: Sequence[Event]) -> None:
        with self._world.metadata.unit_of_work() as work:
            work.events.advance(self._listener, _position(events))
            work.commit()
        self._failures = 0

    def _failed(self, events: Sequence[Event], error: Exception) -> bool:
        self._failures += 1
        is_for_ever = not isinstance(error, Unavailable)
        if is_for_ever and len(events) == 1 and self._failures >= ATTEMPTS:
            event = events[0]
            log.error(
                "listener %s failed %d times at %s of %s (event %s); it will not hear of that",
                *(self._listener, self._failures, event.type, event.subject, event.position),
                exc_info=error,
            )
            self._told(events)
            return True
        self._careful_until = max(self._careful_until, _position(events))
        pause = min(2.0 ** min(self._failures, 10), LONGEST_PAUSE)
        self._not_before = time.monotonic() + pause
        log.warning(
            "listener %s failed, is told again in %g s: %s: %s",
            *(self._listener, pause, type(error).__name__, error),
        )
        return False


def _position(events: Sequence[Event]) -> int:
    """Return the place of the last one; what comes from the outbox has one."""
    return events[-1].position or 0
