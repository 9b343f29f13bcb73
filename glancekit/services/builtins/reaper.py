# SPDX-License-Identifier: Apache-2.0
"""The reaper: looks every few seconds for what dead processes left.

How that is settled is the business of ``services/recovery``.
"""

from __future__ import annotations

from functools import partial

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.recovery import Recoverable, recover

api_level = 1

INTERVAL = 5.0
"""Seconds; two indexed look-ups that find nothing are all it costs."""


@hookimpl
def register_periodic_tasks(world: Recoverable) -> list[PeriodicTask]:
    """Offer the reaper."""
    return [PeriodicTask(name="reaper", interval=INTERVAL, run=partial(recover, world))]
