# SPDX-License-Identifier: Apache-2.0
"""Numbers that are not counted here but looked up when Prometheus asks: the image cache of this
host, which all its processes share, and what was last found in the stores without a record.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from glancekit.core.cache.image_cache import ImageCache
from glancekit.core.errors import GlancekitError
from glancekit.services.keeping.orphan_rounds import last_found
from glancekit.services.world import World

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

log = logging.getLogger(__name__)

_REQUESTS = ("hits", "misses", "followed", "passed")
_FILLS = ("filled", "failed", "invalid")


class StandingNumbers:
    """A collector of prometheus-client's: it is asked anew for each answer."""

    def __init__(self, world: World) -> None:
        self._world = world

    def collect(self) -> Iterator[Metric]:
        """Yield what there is; what cannot be looked up now is left out, and logged."""
        cache = self._world.cache
        if cache is not None or self._world.cache_error:
            yield from self._of_cache(cache)
        try:
            yield from self._of_orphans()
        except GlancekitError as error:
            log.warning("/metrics is without data that have no record: %s", error)

    def _of_cache(self, cache: ImageCache | None) -> Iterator[Metric]:
        usable = _gauge("cache_usable", "Whether the image cache of this host can be used.")
        usable.add_metric([], 0 if cache is None or cache.problem() else 1)
        yield usable
        if cache is None:
            return
        try:
            yield from _numbers_of(cache)
        except OSError as error:
            log.warning("/metrics is without the image cache: %s", error)

    def _of_orphans(self) -> Iterator[Metric]:
        found = last_found(self._world)
        blobs = _gauge("orphans", "Data in a store without a record, as last looked for.", "store")
        size = _gauge("orphan_bytes", "Bytes of these, as far as they are known.", "store")
        for one in found:
            blobs.add_metric([one.store], one.orphans)
            size.add_metric([one.store], one.bytes)
        if found:
            yield blobs
            yield size


def _numbers_of(cache: ImageCache) -> Iterator[Metric]:
    folder = cache.folder
    counts, used = folder.counts(), folder.used()
    images, filling = len(folder.names()), len(folder.incomplete())
    requests = _counter("cache_requests", "Downloads, by what the cache had.", "outcome")
    for outcome in _REQUESTS:
        requests.add_metric([outcome], counts[outcome])
    fills = _counter("cache_fills", "Fills that ended, by how they did.", "outcome")
    for outcome in _FILLS:
        fills.add_metric([outcome], counts[outcome])
    evictions = _counter("cache_evictions", "Images that had to go.")
    evictions.add_metric([], counts["evicted"])
    yield requests
    yield fills
    yield evictions
    for name, meaning, value in (
        ("cache_bytes", "Bytes that images take, and those that fills will have taken.", used),
        ("cache_limit_bytes", "Bytes that these may be at most.", folder.limits.size),
        ("cache_images", "Images that are whole.", images),
        ("cache_filling", "Images that are being fetched.", filling),
    ):
        gauge = _gauge(name, meaning)
        gauge.add_metric([], value)
        yield gauge


def _gauge(name: str, meaning: str, *labels: str) -> GaugeMetricFamily:
    from prometheus_client.metrics_core import GaugeMetricFamily

    return GaugeMetricFamily(f"glancekit_{name}", meaning, labels=labels)


def _counter(name: str, meaning: str, *labels: str) -> CounterMetricFamily:
    from prometheus_client.metrics_core import CounterMetricFamily

    return CounterMetricFamily(f"glancekit_{name}", meaning, labels=labels)
