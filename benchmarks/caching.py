# SPDX-License-Identifier: Apache-2.0
"""Download of a cached image, beside nginx with sendfile. The rounds alternate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row
from benchmarks.running import Service, service
from benchmarks.transfers import download, make_source, nginx, speed, timed, upload, warm_up

FILLING = 300.0
"""Seconds that the image may take to come into the cache."""


def run(folder: Path, *, size: int, rounds: int) -> Iterator[Row]:
    """Measure it."""
    source, config = folder / "source", folder / "glancekit.conf"
    make_source(source, size)
    config.write_text(
        f"[DEFAULT]\nimage_cache_dir = {folder / 'cache'}\n"
        f"image_cache_max_size = {2 * size}\nimage_cache_free_reserve = 0\n"
    )
    with service(folder / "data", "--config-file", str(config)) as running:
        warm_up(running, folder)
        image_id = upload(running, source)
        _cache(running, image_id)
        path = f"/v2/images/{image_id}/file"
        ours, floor = [], []
        with nginx(folder) as base:
            for _ in range(rounds):
                floor.append(timed(lambda: download(f"{base}/{source.name}")))
                ours.append(timed(lambda: download(running.url + path)))
        if (hits := running.call("GET", "/v2/cache/stats")["counts"]["hits"]) != rounds:
            raise RuntimeError(f"{rounds} downloads were {hits} hits")
    yield speed("cached download, beside nginx with sendfile", size, ours, floor, aim=0.9)


def _cache(running: Service, image_id: str) -> None:
    running.call("PUT", f"/v2/cache/{image_id}")
    end = time.monotonic() + FILLING
    while running.call("GET", "/v2/cache/stats")["images"] == 0:
        if time.monotonic() > end:
            raise RuntimeError("the image does not come into the cache")
        time.sleep(0.1)
