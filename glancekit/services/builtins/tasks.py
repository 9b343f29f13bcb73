# SPDX-License-Identifier: Apache-2.0
"""Looks for tasks whose process died, and forgets old ones.

What a task does is the business of ``services/digests``.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.digests import Reader, go_on
from glancekit.services.recovery import Recoverable, clear_staging, explain_staging
from glancekit.services.tasks import explain_forgetting, forget_expired

api_level = 1

INTERVAL = 5.0
"""Seconds; an indexed look-up that finds nothing is all it costs."""

CLEARING = 60.0
"""Seconds between clearings of tasks that ended long ago."""

LONGEST = 24 * 3600.0
"""Seconds: the largest images take hours to read."""


class TasksWorld(Reader, Recoverable, Protocol):
    """What these work with."""


@hookimpl
def register_periodic_tasks(world: TasksWorld) -> list[PeriodicTask]:
    """Offer going on with tasks, and the clearing of them."""
    return [
        PeriodicTask(
            name="digests", interval=INTERVAL, run=partial(go_on, world), deadline=LONGEST
        ),
        PeriodicTask(
            name="staging",
            interval=CLEARING,
            run=partial(clear_staging, world),
            everywhere=True,
            explain=partial(explain_staging, world),
        ),
        PeriodicTask(
            name="task clearing",
            interval=CLEARING,
            run=partial(forget_expired, world),
            explain=partial(explain_forgetting, world),
        ),
    ]
