# SPDX-License-Identifier: Apache-2.0
"""What an administrator asks of the cache of the host that answers. Each function is one request.

The older routes have a rule of their own for all of them: they name it as ``action``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.contracts.cache import CacheEntry
from glancekit.core.errors import Invalid
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import now
from glancekit.services.cache import keeping
from glancekit.services.images import find_visible
from glancekit.services.world import World

LEGACY = "manage_image_cache"
"""The one rule of the older routes."""

TARGETS = ("", "cache", "queue")
"""What can be cleared; the first is both."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a host's cache, and what is to be fetched."""

    cached: Sequence[CacheEntry]
    queued: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How a host's cache is. Sizes in bytes; ``counts`` since it was made."""

    node: str
    used: int
    limit: int
    free_reserve: int
    images: int
    fetching: Sequence[str]
    queued: int
    counts: dict[str, int]


def contents(
    world: World, cache: ImageCache, caller: Identity, *, action: str = "cache_list"
) -> Contents:
    """Return what is cached, and what is to be.

    :raises Forbidden: when the caller may not.
    """
    world.access.require(caller, action, owner=None)
    entries = sorted(cache.folder.entries(), key=lambda entry: (entry.cached_at, entry.image_id))
    return Contents(entries, cache.folder.queued())


def statistics(world: World, cache: ImageCache, caller: Identity) -> Statistics:
    """Return how the cache is.

    :raises Forbidden: when the caller may not.
    """
    world.access.require(caller, "cache_list", owner=None)
    folder = cache.folder
    return Statistics(
        node=cache.node,
        used=folder.used(),
        limit=folder.limits.size,
        free_reserve=folder.limits.free,
        images=len(folder.names()),
        fetching=sorted(folder.incomplete()),
        queued=len(folder.queued()),
        counts=folder.counts(),
    )


def queue(
    world: World,
    cache: ImageCache,
    caller: Identity,
    image_id: str,
    *,
    action: str = "cache_image",
) -> None:
    """Have an image fetched, as soon as those before it are there.

    :raises Forbidden: when the caller may not.
    :raises ImageNotFound: when there is none that the caller may see.
    :raises Invalid: when it is not active.
    """
    world.access.require(caller, action, owner=None)
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
    if not image.is_active:
        raise Invalid(
            f"Only images with status active can be cached; {image_id} is {image.status}"
        )
    cache.folder.enqueue(image.id)
    # When one fetches already, it comes to this one too; what it misses, the periodic task finds.
    cache.fetching.start("cache queue", partial(keeping.fetch_queued, world, cache))


def delete(world: World, cache: ImageCache, caller: Identity, image_id: str) -> None:
    """Forget an image, cached or queued.

    :raises Forbidden: when the caller may not.
    :raises ImageNotFound: when it is neither, and there is no such image.
    """
    world.access.require(caller, "cache_delete", owner=None)
    dropped = cache.folder.drop(image_id)
    if cache.folder.dequeue(image_id) or dropped:
        return
    with world.metadata.unit_of_work(read_only=True) as work:
        find_visible(world, work, caller, image_id)


def forget(
    world: World, cache: ImageCache, caller: Identity, image_id: str, *, target: str
) -> None:
    """Forget an image in the cache or in the queue, as the older routes do: be it there or not.

    :raises Forbidden: when the caller may not.
    """
    world.access.require(caller, LEGACY, owner=None)
    if target == "cache":
        cache.folder.drop(image_id)
    else:
        cache.folder.dequeue(image_id)


def clear(
    world: World,
    cache: ImageCache,
    caller: Identity,
    target: str,
    *,
    action: str = "cache_delete",
) -> int:
    """Empty the cache, the queue, or both; return how many entries went.

    :raises Forbidden: when the caller may not.
    :raises Invalid: when there is no such target.
    """
    world.access.require(caller, action, owner=None)
    if target not in TARGETS:
        raise Invalid(
            f"'{target[:40]}' cannot be cleared; x-image-cache-clear-target is 'cache', 'queue' "
            "or left out"
        )
    gone = 0
    if target != "queue":
        gone += cache.folder.clear()
    if target != "cache":
        gone += sum(cache.folder.dequeue(image_id) for image_id in cache.folder.queued())
    return gone


def clean(world: World, cache: ImageCache, caller: Identity) -> None:
    """Remove what stalled and what is not right any more.

    :raises Forbidden: when the caller may not.
    """
    world.access.require(caller, "cache_clean", owner=None)
    keeping.clean(world, cache)


def prune(world: World, cache: ImageCache, caller: Identity) -> tuple[int, int]:
    """Make the cache as small as it should be; return how many files and bytes went.

    :raises Forbidden: when the caller may not.
    """
    world.access.require(caller, "cache_prune", owner=None)
    return keeping.prune(cache)


def nodes(world: World, cache: ImageCache, caller: Identity, image_id: str) -> Sequence[str]:
    """Return the hosts that have an image in their cache: others as they said last.

    :raises Forbidden: when the caller may not.
    :raises ImageNotFound: when there is none that the caller may see.
    """
    world.access.require(caller, "list_cached_nodes", owner=None)
    with world.metadata.unit_of_work(read_only=True) as work:
        find_visible(world, work, caller, image_id)
        others = set(work.caches.nodes_with(image_id, at=now())) - {cache.node}
    held = any(entry.image_id == image_id for entry in cache.folder.entries())
    return sorted(others | {cache.node} if held else others)
