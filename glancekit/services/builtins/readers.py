# SPDX-License-Identifier: Apache-2.0
"""A periodic task that brings the readers of images to stores which know readers.

A request does so itself, at once; this goes by the outbox, so that a crash or a store that was
away loses none. How it is done is the business of ``services/readers``.
"""

from __future__ import annotations

import logging
from functools import partial

from glancekit.core.errors import StoreError, StoreUnavailable
from glancekit.core.hookspecs import hookimpl
from glancekit.core.periodic import PeriodicTask
from glancekit.services.readers import Granting, grant, keeps_readers

api_level = 1

log = logging.getLogger(__name__)

INTERVAL = 5.0
"""Seconds; one indexed look-up that finds nothing is all it costs."""

BATCH = 100
"""Events looked at in one run."""

CURSOR = "readers"
"""The name of this plugin, under which the outbox keeps how far it has come."""

_MOMENTS = frozenset(
    {
        *("image.activate", "image.update", "image.member.create", "image.member.delete"),
        *("image.copy.added", "image.copy.repaired"),
    }
)


@hookimpl
def register_periodic_tasks(world: Granting) -> list[PeriodicTask]:
    """Offer the task where a store has use for it."""
    if not keeps_readers(world.stores):
        return []
    return [PeriodicTask(name="readers", interval=INTERVAL, run=partial(catch_up, world))]


def catch_up(world: Granting) -> int:
    """Grant what events of the outbox have changed; return how many images these were about.

    A store that is away is waited for. One that refuses is named in the log, and left.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        events = work.events.after(work.events.cursor(CURSOR), limit=BATCH)
    if not events:
        return 0
    changed = dict.fromkeys(event.subject for event in events if event.type in _MOMENTS)
    for image_id in changed:
        try:
            grant(world, image_id)
        except StoreUnavailable as error:
            log.warning("readers of image %s wait for its store: %s", image_id, error)
            return 0
        except StoreError as error:
            log.error("readers of image %s cannot be told to its store: %s", image_id, error)
    with world.metadata.unit_of_work() as work:
        work.events.advance(CURSOR, events[-1].position or 0)
        work.commit()
    return len(changed)
