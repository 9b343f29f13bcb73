# SPDX-License-Identifier: Apache-2.0
"""The scrubber: looks now and then for deleted images whose time is over.

What then is the business of ``services/scrubbing``.
"""

from __future__ import annotations

from functools import partial

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.scrubbing import Scrubbed, explain, scrub

api_level = 1

LONGEST = 3600.0
"""Seconds: many images may have been deleted at once."""


@hookimpl
def register_periodic_tasks(world: Scrubbed) -> list[PeriodicTask]:
    """Offer the scrubber."""
    return [
        PeriodicTask(
            name="scrubber",
            interval=float(world.settings.wakeup_time),
            run=partial(scrub, world),
            deadline=LONGEST,
            explain=partial(explain, world),
        )
    ]
