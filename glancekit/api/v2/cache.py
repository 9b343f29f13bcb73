# SPDX-License-Identifier: Apache-2.0
"""``/v2/cache``, and the older ``/v2/cached_images`` and ``/v2/queued_images``.

All are about the cache of the host that answers. What they do is the services' business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flask import Response, request

from glancekit.api.auth import caller
from glancekit.api.replies import empty_reply, json_reply
from glancekit.api.v2.metadefs import Route
from glancekit.api.v2.switched_off import CacheOff
from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.contracts.cache import CacheEntry
from glancekit.services.cache import asking
from glancekit.services.cache.asking import LEGACY
from glancekit.services.world import World

CLEAR_TARGET = "x-image-cache-clear-target"


class Cache:
    """The cache of this host."""

    def __init__(self, world: World, cache: ImageCache) -> None:
        self._world = world
        self._cache = cache

    def index(self) -> Response:
        """Answer ``GET /v2/cache``."""
        found = asking.contents(self._world, self._cache, caller())
        cached = [_shown(entry) for entry in found.cached]
        return json_reply({"cached_images": cached, "queued_images": found.queued})

    def statistics(self) -> Response:
        """Answer ``GET /v2/cache/stats``."""
        return json_reply(asdict(asking.statistics(self._world, self._cache, caller())))

    def queue(self, image_id: str) -> Response:
        """Answer ``PUT /v2/cache/{id}``."""
        asking.queue(self._world, self._cache, caller(), image_id)
        return empty_reply(status=202)

    def delete(self, image_id: str) -> Response:
        """Answer ``DELETE /v2/cache/{id}``."""
        asking.delete(self._world, self._cache, caller(), image_id)
        return empty_reply()

    def clear(self) -> Response:
        """Answer ``DELETE /v2/cache``."""
        asking.clear(self._world, self._cache, caller(), request.headers.get(CLEAR_TARGET, ""))
        return empty_reply()

    def nodes(self, image_id: str) -> Response:
        """Answer ``GET /v2/cache/nodes/{id}``."""
        return json_reply(asking.nodes(self._world, self._cache, caller(), image_id))

    def clean(self) -> Response:
        """Answer ``POST /v2/cache/clean``."""
        asking.clean(self._world, self._cache, caller())
        return empty_reply(status=200)

    def prune(self) -> Response:
        """Answer ``POST /v2/cache/prune``."""
        files, size = asking.prune(self._world, self._cache, caller())
        return json_reply({"total_files_pruned": files, "total_bytes_pruned": size})


class OlderCache:
    """The same by the older paths, whose answers and rule are others."""

    def __init__(self, world: World, cache: ImageCache) -> None:
        self._world = world
        self._cache = cache

    def cached(self) -> Response:
        """Answer ``GET /v2/cached_images``."""
        found = asking.contents(self._world, self._cache, caller(), action=LEGACY)
        return json_reply({"cached_images": [_shown(entry) for entry in found.cached]})

    def queued(self) -> Response:
        """Answer ``GET /v2/queued_images``."""
        found = asking.contents(self._world, self._cache, caller(), action=LEGACY)
        return json_reply({"queued_images": found.queued})

    def queue(self, image_id: str) -> Response:
        """Answer ``PUT /v2/queued_images/{id}``."""
        asking.queue(self._world, self._cache, caller(), image_id, action=LEGACY)
        return json_reply(None)

    def delete_cached(self, image_id: str) -> Response:
        """Answer ``DELETE /v2/cached_images/{id}``."""
        asking.forget(self._world, self._cache, caller(), image_id, target="cache")
        return json_reply(None)

    def delete_queued(self, image_id: str) -> Response:
        """Answer ``DELETE /v2/queued_images/{id}``."""
        asking.forget(self._world, self._cache, caller(), image_id, target="queue")
        return json_reply(None)

    def clear_cached(self) -> Response:
        """Answer ``DELETE /v2/cached_images``."""
        return self._clear("cache")

    def clear_queued(self) -> Response:
        """Answer ``DELETE /v2/queued_images``."""
        return self._clear("queue")

    def _clear(self, target: str) -> Response:
        gone = asking.clear(self._world, self._cache, caller(), target, action=LEGACY)
        return json_reply({"num_deleted": gone})


def cache_routes(world: World) -> tuple[Route, ...]:
    """Return the routes of the cache; where there is none, they say so."""
    if world.cache is None:
        off = CacheOff().answer
        return tuple((method, path, off) for method, path in ROUTES)
    now, before = Cache(world, world.cache), OlderCache(world, world.cache)
    views: tuple[Callable[..., Response], ...] = (
        *(now.index, now.clear, now.statistics, now.queue, now.delete),
        *(now.nodes, now.clean, now.prune),
        *(before.cached, before.clear_cached, before.delete_cached),
        *(before.queued, before.clear_queued, before.queue, before.delete_queued),
    )
    routes = zip(ROUTES, views, strict=True)
    return tuple((method, path, view) for (method, path), view in routes)


ROUTES = (
    ("GET", "/v2/cache"),
    ("DELETE", "/v2/cache"),
    ("GET", "/v2/cache/stats"),
    ("PUT", "/v2/cache/<image_id>"),
    ("DELETE", "/v2/cache/<image_id>"),
    ("GET", "/v2/cache/nodes/<image_id>"),
    ("POST", "/v2/cache/clean"),
    ("POST", "/v2/cache/prune"),
    ("GET", "/v2/cached_images"),
    ("DELETE", "/v2/cached_images"),
    ("DELETE", "/v2/cached_images/<image_id>"),
    ("GET", "/v2/queued_images"),
    ("DELETE", "/v2/queued_images"),
    ("PUT", "/v2/queued_images/<image_id>"),
    ("DELETE", "/v2/queued_images/<image_id>"),
)
"""All of them, in the order of their views."""


def _shown(entry: CacheEntry) -> dict[str, Any]:
    """Return an entry as clients know it: times as seconds since 1970."""
    return {
        "image_id": entry.image_id,
        "hits": entry.hits,
        "last_accessed": entry.last_hit_at.timestamp(),
        "last_modified": entry.cached_at.timestamp(),
        "size": entry.size,
    }
