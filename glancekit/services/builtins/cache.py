# SPDX-License-Identifier: Apache-2.0
"""Keeps each host's image cache: prunes, cleans and fetches; and leaves local files out of it.

How, is the business of ``services/cache/keeping``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.contracts.store import SupportsLocalFile
from glancekit.core.hookspecs import hookimpl
from glancekit.core.model.image import Image
from glancekit.core.periodic import PeriodicTask
from glancekit.core.stores import Stores
from glancekit.services.cache.keeping import clean, fetch_queued, prefetch, prune, report
from glancekit.services.copies import in_order
from glancekit.services.world import World

log = logging.getLogger(__name__)

api_level = 1

PRUNING = 60.0
CLEANING = 300.0
REPORTING = 60.0
QUEUE = 30.0
"""Seconds. What is queued is fetched at once by the process that was asked; this finds what one
that died did not get to."""

LONGEST = 24 * 3600.0
"""Seconds: the largest images take hours."""


@hookimpl
def register_periodic_tasks(world: World) -> list[PeriodicTask]:
    """Offer what keeps a cache, where there is one: on each host."""
    cache: ImageCache | None = getattr(world, "cache", None)
    if cache is None:
        return []
    tasks = [
        PeriodicTask(
            name="cache pruning",
            interval=PRUNING,
            run=partial(_prune, cache),
            everywhere=True,
            explain=partial(_to_go, cache),
        ),
        PeriodicTask(
            name="cache cleaning",
            interval=CLEANING,
            run=partial(clean, world, cache),
            deadline=LONGEST,
            everywhere=True,
        ),
        PeriodicTask(
            name="cache queue",
            interval=QUEUE,
            run=partial(fetch_queued, world, cache),
            deadline=LONGEST,
            everywhere=True,
        ),
    ]
    tasks.append(
        PeriodicTask(
            name="cache report",
            interval=REPORTING,
            run=partial(_report, world, cache),
            everywhere=True,
        )
    )
    if cache.prefetch:
        prefetching = PeriodicTask(
            name="cache prefetching",
            interval=cache.interval,
            run=partial(prefetch, world, cache),
            deadline=LONGEST,
            everywhere=True,
        )
        tasks.append(prefetching)
    return tasks


@hookimpl(trylast=True)
def should_cache(image: Image, stores: Stores) -> bool | None:
    """Leave out what lies in a file of this host already: a copy of it would be no faster."""
    for location in in_order(stores, image.locations)[:1]:
        store = stores.by_id.get(location.store)
        if store is not None and store.supports(SupportsLocalFile):
            return False
    return None


def _report(world: World, cache: ImageCache) -> str | None:
    """Tell what is cached here, or why nothing can be; downloads go on without it."""
    if problem := cache.problem():
        log.error("the image cache cannot be used: %s", problem)
        return f"cannot be used: {problem}"
    report(world, cache)
    return None


def _prune(cache: ImageCache) -> str | None:
    files, size = prune(cache)
    return f"{files} files, {size} bytes" if files else None


def _to_go(cache: ImageCache) -> Iterator[str]:
    for entry in cache.expired():
        yield f"image {entry.image_id} goes: the policy has it expire"
    over = cache.folder.used() - cache.folder.limits.size
    if over > 0:
        yield f"{over} bytes have to go, in the policy's order"
