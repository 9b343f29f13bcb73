# SPDX-License-Identifier: Apache-2.0
"""The numbers of a service with several processes are those of all of them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

REQUESTS = 40

EVERY_KIND = """
[DEFAULT]
enabled_import_methods = glance-direct, web-download
image_cache_dir = {folder}/cache
image_cache_policy = lru
[metrics]
enabled = true
[plugins]
disabled = cache
[quotas]
image_count_total = 100
[image_import_opts]
image_import_plugins = inject_image_metadata
[inject_metadata_properties]
inject = imported:yes
ignore_user_roles = nobody
[import_filtering_opts]
allowed_hosts = 127.0.0.1
allowed_ports = []
"""

ASKED = {
    ("glancekit.auth", "none"): {"authenticate"},
    ("glancekit.cache_policies", "lru"): {"admits"},
    ("glancekit.hooks", "audit_log"): {"after_commit"},
    ("glancekit.hooks", "outbox"): {"register_periodic_tasks", "run outbox for audit_log"},
    ("glancekit.hooks", "placement"): {"choose_store"},
    ("glancekit.import_methods", "web-download"): {"validate", "open", "read"},
    ("glancekit.import_steps", "inject_image_metadata"): {"applies_to", "execute"},
    ("glancekit.limits", "config"): {"is_limiting", "limits"},
    ("glancekit.metadata", "sqlite"): {"start", "read", "write"},
    ("glancekit.stores", "file"): {"check", "local_path"},
}
"""A plugin of each kind that a service has, and what it is asked in the test, by whichever of its
processes: of the two that answer requests, or the worker of imports."""


def total(service: Any, name: str, **labels: str) -> float:
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_all_processes_count_together(make_service: Callable[..., Any]) -> None:
    service = make_service("[metrics]\nenabled = true\n")
    service.start()
    for _ in range(REQUESTS):  # each on a connection of its own, for whichever process takes it
        requests.get(f"{service.url}/v2/images", timeout=30).raise_for_status()
    counted = [
        total(service, "glancekit_requests_total", route="/v2/images", status="200")
        for _ in range(6)
    ]
    assert counted == [REQUESTS] * 6
    image = service.create()
    assert service.upload(image, b"data").status_code == 204
    assert total(service, "glancekit_plugin_calls_total", operation="write", plugin="file") == 1
    service.stop()
    service.start()
    assert total(service, "glancekit_requests_total", route="/v2/images", status="200") == 0


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """The URL of a file on a web server."""
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "image").write_bytes(b"data" * 1000)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/image"
    server.shutdown()
    server.server_close()


def plugins(service: Any, *words: str) -> Any:
    command = [sys.executable, "-m", "glancekit.cli", "plugins", *words]
    command += ["--url", service.url, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_kind_is_counted_whichever_process_asks(
    make_service: Callable[..., Any], web: str, tmp_path: Path
) -> None:
    service = make_service(EVERY_KIND.format(folder=tmp_path))
    service.start()
    image = service.create()
    method = {"method": {"name": "web-download", "uri": web}}
    where = f"{service.url}/v2/images/{image}/import"
    assert requests.post(where, json=method, timeout=30).status_code == 202
    service.wait_for(lambda: service.status(image) == "active")
    assert service.download(image) == b"data" * 1000

    def counted() -> dict[tuple[str, str], set[str]]:
        return {
            (plugin["group"], plugin["name"]): {
                operation for operation, tally in plugin["calls"].items() if tally["calls"]
            }
            for plugin in requests.get(f"{service.url}/v2/info/plugins", timeout=30).json()[
                "plugins"
            ]
        }

    def lacking() -> dict[tuple[str, str], set[str]]:
        found = counted()
        known = {plugin: asked - found.get(plugin, set()) for plugin, asked in ASKED.items()}
        return {plugin: asked for plugin, asked in known.items() if asked}

    service.wait_for(lambda: not lacking())
    for (group, name), operations in ASKED.items():
        for operation in operations:
            labels = {"group": group, "plugin": name, "operation": operation}
            assert total(service, "glancekit_plugin_calls_total", **labels) > 0, labels
    listed = {(one["group"], one["name"]): one for one in plugins(service, "list")}
    assert all(listed[plugin]["calls"] > 0 for plugin in ASKED)
    assert all(listed[plugin]["errors"] == 0 for plugin in ASKED)
    shown = plugins(service, "show", "web-download")
    assert shown["calls"]["open"]["calls"] == 1
