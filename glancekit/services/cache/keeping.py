# SPDX-License-Identifier: Apache-2.0
"""What keeps the cache as it should be: pruning, cleaning, and fetching in advance of demand.

When each is due is the business of ``builtins/cache``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta

from glancekit.core.cache.content import content_of, image_of
from glancekit.core.cache.image_cache import ImageCache, PrefetchRule
from glancekit.core.errors import ImageNotFound
from glancekit.core.model.image import Image, now
from glancekit.core.model.listing import Comparison, Condition, ImageQuery, SortKey
from glancekit.core.model.status import ImageStatus
from glancekit.core.periodic import PeriodicWorld
from glancekit.services.cache.serving import fetch, is_worth_caching
from glancekit.services.world import World

log = logging.getLogger(__name__)

PAGE = 100
"""Records that are asked for at a time."""

REPORT_HOLDS = timedelta(minutes=3)
"""How long a host counts as having what it said: a few of its reports may be missed."""


def prune(cache: ImageCache) -> tuple[int, int]:
    """Have go what the policy has expire and what is beyond the limits; return files and bytes."""
    return cache.folder.prune(cache.expired())


def clean(world: PeriodicWorld, cache: ImageCache) -> int:
    """Remove what stalled, what images that are gone left, and what is not right any more.

    Return how many files that were.
    """
    removed = cache.folder.clear_stalled(cache.stall_time)
    for name in cache.folder.names():
        if not _is_current(world, name):
            cache.folder.drop_name(name)
            removed += 1
    return removed + _verify(world, cache)


def report(world: PeriodicWorld, cache: ImageCache) -> None:
    """Tell the other hosts what is in this one's cache; they forget it unless it is told again."""
    held = {entry.image_id for entry in cache.folder.entries()}
    with world.metadata.unit_of_work() as work:
        work.caches.tell(cache.node, held, now() + REPORT_HOLDS)
        work.caches.prune(now() - REPORT_HOLDS)
        work.commit()


def fetch_queued(world: World, cache: ImageCache) -> int:
    """Fetch what was asked to be fetched, the first first; return how many images that were.

    What cannot be cached leaves the queue all the same; why is in the log.
    """
    fetched = 0
    while queued := cache.folder.queued():
        for image_id in queued:
            if cache.fetching.stopping.is_set():
                return fetched
            image = _find(world, image_id)
            if image is not None:
                fetched += fetch(world, cache, image)
            cache.folder.dequeue(image_id)
    return fetched


def prefetch(world: World, cache: ImageCache) -> int:
    """Fetch what the operator's rules mean, the newest first, as far as there is room.

    Nothing has to go for it: what is in the cache was asked for, this was not yet.
    """
    fetched = 0
    for rule in cache.prefetch:
        for image in _meant(world, rule):
            if cache.fetching.stopping.is_set():
                return fetched
            content = content_of(image)
            if content is None or content.name in cache.folder.names():
                continue
            if is_worth_caching(world, cache, image):
                fetched += fetch(world, cache, image, may_evict=False)
    return fetched


def _meant(world: PeriodicWorld, rule: PrefetchRule) -> Iterator[Image]:
    marker = None
    while True:
        query = ImageQuery(
            limit=PAGE,
            marker=marker,
            sort=(SortKey("created_at"),),
            conditions=(Condition("status", Comparison.EQ, ImageStatus.ACTIVE),),
            tags=frozenset({rule.tag} if rule.tag else ()),
            properties={rule.name: rule.value or ""} if rule.name else None,
            all_visibilities=True,
            os_hidden=None,
        )
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                page = work.images.find(query)
        except ImageNotFound:  # the marker was deleted; the next round sees the rest
            return
        yield from page.images
        if not page.is_full or not page.images:
            return
        marker = page.images[-1].id


def _find(world: PeriodicWorld, image_id: str) -> Image | None:
    with world.metadata.unit_of_work(read_only=True) as work:
        try:
            return work.images.get(image_id)
        except ImageNotFound:
            return None


def _is_current(world: PeriodicWorld, name: str) -> bool:
    """Say whether a cached file is of an image that is there, with the bytes that it has now."""
    image = _find(world, image_of(name))
    content = None if image is None else content_of(image)
    return content is not None and content.name == name


def _verify(world: PeriodicWorld, cache: ImageCache) -> int:
    """Read again what nobody has for long; return how many files were wrong."""
    if cache.verify_after is None:
        return 0
    wrong = 0
    for name in cache.folder.unverified(now() - cache.verify_after):
        image = _find(world, image_of(name))
        content = None if image is None else content_of(image)
        if content is not None and content.name == name:
            wrong += not cache.folder.is_right(content)
    return wrong
