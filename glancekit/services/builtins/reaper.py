# SPDX-License-Identifier: Apache-2.0
"""The reaper: looks every few seconds for what dead processes left, and now and then for what is
left in the stores without a record.

How that is settled is the business of ``services/recovery`` and ``services/sweeping``.
"""

from __future__ import annotations

from functools import partial

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services import recovery, sweeping
from glancekit.services.recovery import Recoverable, recover
from glancekit.services.sweeping import sweep

api_level = 1

INTERVAL = 5.0
"""Seconds; two indexed look-ups that find nothing are all it costs."""


SWEEPING = 600.0
"""Seconds; it costs each store a listing."""


@hookimpl
def register_periodic_tasks(world: Recoverable) -> list[PeriodicTask]:
    """Offer the reaper."""
    return [
        PeriodicTask(
            name="reaper",
            interval=INTERVAL,
            run=partial(recover, world),
            explain=partial(recovery.explain, world),
        ),
        PeriodicTask(
            name="sweeping",
            interval=SWEEPING,
            run=partial(sweep, world),
            explain=partial(sweeping.explain, world),
        ),
    ]
