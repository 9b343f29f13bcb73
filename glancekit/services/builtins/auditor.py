# SPDX-License-Identifier: Apache-2.0
"""The auditor: reads every copy of every image once in a cycle, and replaces those that are lost;
and looks now and then for data that no record leads to.

How a copy is judged and replaced is the business of ``services/keeping``.
"""

from __future__ import annotations

from functools import partial

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.keeping import orphan_rounds
from glancekit.services.keeping.auditing import Auditor
from glancekit.services.world import World

api_level = 1

LONGEST = 24 * 3600.0
"""Seconds: the largest images take hours to read, more so where few bytes per second may be."""


@hookimpl
def register_periodic_tasks(world: World) -> list[PeriodicTask]:
    """Offer them, as far as the operator does not do without."""
    return [*_reading(world), *_looking(world)]


def _looking(world: World) -> list[PeriodicTask]:
    interval = world.auditing.orphan_interval.total_seconds()
    if not interval or not orphan_rounds.listable(world):
        return []
    return [
        PeriodicTask(
            name="orphans",
            interval=interval,
            run=partial(orphan_rounds.look_through_all, world),
            deadline=LONGEST,
            explain=partial(orphan_rounds.explain, world),
        )
    ]


def _reading(world: World) -> list[PeriodicTask]:
    if not world.auditing.enabled:
        return []
    auditor = Auditor(world)
    return [
        PeriodicTask(
            name="auditor",
            interval=world.auditing.interval,
            run=auditor.run,
            deadline=LONGEST,
            explain=auditor.explain,
        )
    ]
