# SPDX-License-Identifier: Apache-2.0
"""Audits: every copy is read once in a cycle, the one that was looked at the longest ago first.

What is found of each copy is written down at once, so that a round may end anywhere: at most the
copy that was being read is read again. Repairs are the business of ``healing``.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from glancekit.core.model.image import Finding, Location, now
from glancekit.core.stores import Store
from glancekit.services.keeping.examining import RETRY, Verdict, examine
from glancekit.services.keeping.healing import SUSPICIOUS, Healer
from glancekit.services.world import World

log = logging.getLogger(__name__)

ROUND = 300.0
"""Seconds of reading after which lost copies are repaired before more is read."""

BATCH = 100
"""Records looked at in one go."""


@dataclass(slots=True)
class Tally:
    """What one round did: how many copies were found how, and what became of lost ones."""

    findings: Counter[str] = field(default_factory=Counter)
    repaired: int = 0
    unrepaired: int = 0

    def __str__(self) -> str:
        counts = {**self.findings, "repaired": self.repaired, "not repaired": self.unrepaired}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


@dataclass(slots=True)
class _Turn:
    """A store's part in a round."""

    store: Store
    last: tuple[int | None, datetime | None] = (None, None)
    missing: int = 0


class Auditor:
    """Rounds of audits and repairs."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._healer = Healer(world)

    def run(self) -> Tally | None:
        """Audit what is due, as far as one round goes, and repair what is lost.

        Returns None when there was nothing to do.

        :raises MetadataError: when records cannot be read or written.
        :raises Unavailable: when the process is stopping.
        """
        tally = Tally()
        for copy in self._unreadable():
            _count(tally, examine(self._world, copy))
        self._audit(tally)
        if self._world.auditing.repair:
            for outcome in self._healer.heal_all():
                tally.repaired += outcome.is_repaired
                tally.unrepaired += not outcome.is_repaired
        return tally if str(tally) else None

    def explain(self) -> Iterator[str]:
        """Say what a run would do, doing nothing."""
        before = now() - self._world.auditing.cycle
        for store in self._world.stores:
            for copy in self._due(store, before, limit=BATCH):
                yield (
                    f"would read the copy of image {copy.image_id} in store {store.id}: it was "
                    f"looked at last {copy.audited_at or 'never'}"
                )
        if self._world.auditing.repair:
            yield from self._healer.explain()

    def _audit(self, tally: Tally) -> None:
        """Read what is due, a copy of each store in turn."""
        going = [_Turn(store) for store in self._world.stores]
        before = now() - self._world.auditing.cycle
        until = time.monotonic() + ROUND
        while going and time.monotonic() < until:
            going = [turn for turn in going if self._take(turn, before, tally)]

    def _take(self, turn: _Turn, before: datetime, tally: Tally) -> bool:
        """Read the next copy of a store; False when it has had enough for this round."""
        due = self._due(turn.store, before, limit=1) if turn.store.is_available else ()
        if not due or turn.last == (due[0].id, due[0].audited_at):
            return False
        copy = due[0]
        turn.last = (copy.id, copy.audited_at)
        verdict = examine(self._world, copy)
        _count(tally, verdict)
        turn.missing = turn.missing + 1 if verdict.finding is Finding.MISSING else 0
        if turn.missing == SUSPICIOUS:
            log.error(
                "store %s: %d copies in a row are missing; see whether its medium is there. It is "
                "left alone for this round",
                *(turn.store.id, turn.missing),
            )
        return turn.missing < SUSPICIOUS

    def _due(self, store: Store, before: datetime, *, limit: int) -> Sequence[Location]:
        with self._world.metadata.unit_of_work(read_only=True) as work:
            return work.locations.due(store.id, before=before, limit=limit)

    def _unreadable(self) -> list[Location]:
        with self._world.metadata.unit_of_work(read_only=True) as work:
            found = work.locations.found(Finding.UNREADABLE, limit=BATCH)
        before = now() - RETRY
        return [copy for copy in found if copy.audited_at is None or copy.audited_at < before]


def _count(tally: Tally, verdict: Verdict) -> None:
    tally.findings[str(verdict.finding or "not judged")] += 1
