# SPDX-License-Identifier: Apache-2.0
"""The auditor: reads every copy of every image once in a cycle, and replaces those that are lost.

How a copy is judged and replaced is the business of ``services/keeping``.
"""

from __future__ import annotations

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.keeping.auditing import Auditor
from glancekit.services.world import World

api_level = 1

LONGEST = 24 * 3600.0
"""Seconds: the largest images take hours to read, more so where few bytes per second may be."""


@hookimpl
def register_periodic_tasks(world: World) -> list[PeriodicTask]:
    """Offer the auditor, unless the operator does without it."""
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
