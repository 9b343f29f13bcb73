# SPDX-License-Identifier: Apache-2.0
"""``glancekit cache`` as it is typed, against a running service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = os.urandom(300_000)


def test_an_image_is_queued_seen_counted_and_forgotten(
    make_service: Callable[..., Any], tmp_path: Path
) -> None:
    service = make_service(f"[DEFAULT]\nimage_cache_dir = {tmp_path / 'cache'}\n")
    service.start()
    image_id = service.create(name="golden")
    assert service.upload(image_id, DATA).status_code == 204

    def cache(*words: str, fails: int = 0) -> Any:
        command = [sys.executable, "-m", "glancekit.cli", "cache", "--url", service.url, *words]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=clean)
        assert done.returncode == fails, done.stderr
        return json.loads(done.stdout) if done.stdout.startswith(("[", "{")) else done.stdout

    def states() -> list[str]:
        return [row["state"] for row in cache("list", "-f", "json")]

    cache("queue", "golden")
    service.wait_for(lambda: states() == ["cached"])
    assert service.download(image_id) == DATA
    assert cache("list", "-f", "value", "-c", "image_id", "-c", "hits").split() == [image_id, "1"]
    figures = cache("stats", "-f", "json")
    assert (figures["images"], figures["used"], figures["hits"]) == (1, len(DATA), 1)
    (node,) = cache("nodes", "golden", "-f", "json")
    assert node["node"] == figures["node"]
    assert cache("prune", "-f", "json") == {"files": 0, "bytes": 0}
    cache("clean")
    cache("clear", "--queue")
    assert states() == ["cached"]
    cache("delete", "golden")
    assert states() == []
    cache("clear")
    cache("queue", "no such image", fails=4)
