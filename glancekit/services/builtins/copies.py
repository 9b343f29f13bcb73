# SPDX-License-Identifier: Apache-2.0
"""Keeps images' copies where the rules of ``[placement]`` say. (Which store an upload goes to is
the business of ``builtins/placement``.)

What has to be copied or removed is the business of ``services/keeping``.
"""

from __future__ import annotations

from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.keeping.placing import Keeper
from glancekit.services.world import World

api_level = 1

LONGEST = 24 * 3600.0
"""Seconds: after a store was lost, there is much to copy."""


@hookimpl
def register_periodic_tasks(world: World) -> list[PeriodicTask]:
    """Offer the keeper; without rules it has nothing to do."""
    keeper = Keeper(world)
    return [
        PeriodicTask(
            name="placement",
            interval=world.placement.interval,
            run=keeper.run,
            deadline=LONGEST,
            explain=keeper.explain,
        )
    ]
