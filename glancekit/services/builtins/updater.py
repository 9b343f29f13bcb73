# SPDX-License-Identifier: Apache-2.0
"""The updater: brings records up to date, a little every minute, each duty a task of its own.

What a duty is, and how it goes through the images, is the business of ``services/updating``; what
projects took of stores, of ``services/ledger``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services import ledger
from glancekit.services.updating.digests import DIGESTS, find_out
from glancekit.services.updating.formats import FORMATS
from glancekit.services.updating.lifecycle import LIFECYCLE
from glancekit.services.updating.rounds import Duty, explain, go_round
from glancekit.services.updating.stores import STORE_IDS
from glancekit.services.world import World

api_level = 1

INTERVAL = 60.0
"""Seconds between rounds."""

JITTER = 5.0
"""Seconds: the duties need not all begin in the same moment."""

ENTERING = 600.0
"""Seconds between entries into the ledger, which do not make it any more exact."""

LONGEST = 24 * 3600.0
"""Seconds: the largest images take hours to read."""


@hookimpl
def register_periodic_tasks(world: World) -> list[PeriodicTask]:
    """Offer the duties."""
    return [
        _task(world, DIGESTS, partial(find_out, world)),
        _task(world, FORMATS, partial(go_round, world, FORMATS)),
        _task(world, STORE_IDS, partial(go_round, world, STORE_IDS)),
        _task(world, LIFECYCLE, partial(go_round, world, LIFECYCLE)),
        PeriodicTask(
            name="updater: usage",
            interval=ENTERING,
            jitter=JITTER,
            run=partial(_enter, world),
        ),
    ]


def _task(world: World, duty: Duty, run: Callable[[], object]) -> PeriodicTask:
    return PeriodicTask(
        name=f"updater: {duty.name}",
        interval=INTERVAL,
        jitter=JITTER,
        run=run,
        deadline=LONGEST,
        explain=partial(explain, world, duty),
    )


def _enter(world: World) -> str:
    entered = ledger.settle(world.metadata)
    forgotten = ledger.forget(world.metadata, world.updating.usage_days)
    return f"{entered} changes and accounts entered, {forgotten} old entries forgotten"
