# SPDX-License-Identifier: Apache-2.0
"""Numbers for Prometheus and for administrators, in one process; e2e has several."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from glancekit.api import metrics
from glancekit.api.app import create_app
from glancekit.api.metrics import Metrics
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.cache.content import Content
from glancekit.core.cache.folder import Fill
from glancekit.core.errors import ConfigError
from glancekit.core.stream import FileStream
from glancekit.services.keeping.options import Auditing
from glancekit.services.keeping.orphan_rounds import look_through_all
from glancekit.services.world import World
from glancekit.testing.client import Client, WsgiTransport

DATA = b"an image " * 1000
IMAGE = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Client]:
    """A service that counts."""
    overrides = {
        ("DEFAULT", "data_dir"): str(tmp_path / "data"),
        ("auth", "driver"): "trusted",
        ("metrics", "enabled"): True,
    }
    config = load_config([], overrides)
    counting = Metrics.of(config)
    with bootstrap(config, counting) as world:
        app = create_app(world, ApiSettings.of(config), counting)
        yield Client(WsgiTransport(app))


def numbers(client: Client) -> dict[tuple[str, tuple[str, ...]], float]:
    """What is counted, by name and by the values of the labels in the order of their names."""
    answer = client.get("/metrics")
    assert answer.status == 200
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def upload(client: Client) -> None:
    image = client.create(disk_format="raw", container_format="bare")
    answer = client.upload(image["id"], DATA)
    assert answer.status == 204


def test_requests_and_plugins_are_counted(counted: Client) -> None:
    upload(counted.as_project("p"))
    assert counted.get("/v2/images").status == 401
    assert counted.get("/v2/no/such/thing").status in (401, 404)
    found = numbers(counted)
    route = "/v2/images/<image_id>/file"
    assert found["glancekit_requests_total", ("PUT", route, "204")] == 1
    assert found["glancekit_request_seconds_total", ("PUT", route, "204")] > 0
    assert found["glancekit_requests_total", ("GET", "/v2/images", "401")] == 1
    write = ("glancekit.stores", "write", "file", "store local")
    assert found["glancekit_plugin_calls_total", write] == 1
    assert found["glancekit_plugin_errors_total", write] == 0
    assert found["glancekit_plugin_seconds_total", write] > 0
    asked = ("glancekit.auth", "authenticate", "trusted", "auth")
    assert found["glancekit_plugin_calls_total", asked] >= 3
    assert found["glancekit_plugin_errors_total", asked] == 0, "a stranger is no error"
    written = ("glancekit.metadata", "write", "sqlite", "metadata")
    assert found["glancekit_plugin_calls_total", written] >= 3


def test_what_clients_make_up_is_no_label(counted: Client) -> None:
    for number in range(3):
        counted.get(f"/made/up/{number}")
    labels = {label for _, labels in numbers(counted) for label in labels}
    assert not [label for label in labels if "made" in label]


def test_without_being_asked_for_there_are_none(service: Client) -> None:
    assert service.get("/metrics").status == 404


def test_the_files_of_an_earlier_start_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metrics.FOLDER, "")
    monkeypatch.delenv(metrics.FOLDER)
    old = tmp_path / "metrics" / "counter_1.db"
    old.parent.mkdir()
    old.write_bytes(b"old")
    overrides = {("DEFAULT", "data_dir"): str(tmp_path), ("metrics", "enabled"): True}
    metrics.prepare(load_config([], overrides))
    assert not old.exists()


def test_a_folder_that_cannot_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metrics.FOLDER, "")
    monkeypatch.delenv(metrics.FOLDER)
    (tmp_path / "metrics").write_text("in the way")
    overrides = {("DEFAULT", "data_dir"): str(tmp_path), ("metrics", "enabled"): True}
    with pytest.raises(ConfigError, match="switch metrics off"):
        metrics.prepare(load_config([], overrides))


def test_administrators_see_what_plugins_were_asked(counted: Client) -> None:
    upload(counted.as_project("p"))
    assert counted.as_project("p").get("/v2/info/plugins").status == 403
    admin = counted.as_project("ops", roles="admin")
    plugins = admin.get("/v2/info/plugins").json["plugins"]
    (store,) = [plugin for plugin in plugins if plugin["group"] == "glancekit.stores"]
    assert (store["name"], store["use"], store["state"]) == ("file", "store local", "ok")
    assert store["distribution"] == "glancekit-file-store"
    write = store["calls"]["write"]
    assert (write["calls"], write["errors"], write["last_error"]) == (1, 0, "")
    (metadata,) = [plugin for plugin in plugins if plugin["group"] == "glancekit.metadata"]
    assert metadata["calls"]["read"]["calls"] >= 1


@pytest.fixture
def cache_of(tmp_path: Path) -> Iterator[tuple[World, Client]]:
    """A service that counts, caches and can be looked into."""
    overrides = {
        ("DEFAULT", "data_dir"): str(tmp_path / "data"),
        ("DEFAULT", "image_cache_dir"): str(tmp_path / "cache"),
        ("DEFAULT", "image_cache_max_size"): "1MB",
        ("DEFAULT", "image_cache_free_reserve"): "0",
        ("auth", "driver"): "trusted",
        ("metrics", "enabled"): True,
    }
    config = load_config([], overrides)
    counting = Metrics.of(config)
    with bootstrap(config, counting) as world:
        yield world, Client(WsgiTransport(create_app(world, ApiSettings.of(config), counting)))


def test_the_image_cache_is_shown_as_its_folder_has_it(cache_of: tuple[World, Client]) -> None:
    world, client = cache_of
    assert world.cache is not None
    folder = world.cache.folder
    content = Content(image_id=IMAGE, size=9, algorithm="md5", digest="0" * 32)
    claimed = folder.claim(content)
    assert isinstance(claimed, Fill)
    found = numbers(client)
    assert found["glancekit_cache_filling", ()] == 1
    assert found["glancekit_cache_bytes", ()] == 9
    claimed.file.write(b"some data")
    assert folder.publish(claimed)
    folder.count("filled")
    claimed.file.close()
    claimed.follower.close()
    whole = folder.open_hit(content)
    assert whole is not None
    whole.close()
    folder.count("misses", 2)
    folder.count("evicted", 3)
    found = numbers(client)
    assert {name: found[f"glancekit_cache_{name}", ()] for name in (
        "images", "bytes", "filling", "limit_bytes", "usable", "evictions_total",
    )} == {
        "images": 1, "bytes": 9, "filling": 0, "limit_bytes": 1 << 20, "usable": 1,
        "evictions_total": 3,
    }  # fmt: skip
    requests = {o: found["glancekit_cache_requests_total", (o,)] for o in ("hits", "misses")}
    assert requests == {"hits": 1, "misses": 2}
    assert found["glancekit_cache_fills_total", ("filled",)] == 1
    shutil.rmtree(folder.path)
    found = numbers(client)
    assert found["glancekit_cache_usable", ()] == 0
    assert ("glancekit_cache_images", ()) not in found


def test_without_a_cache_there_are_no_numbers_of_one(counted: Client) -> None:
    assert not [name for name, _ in numbers(counted) if name.startswith("glancekit_cache")]


def test_data_without_a_record_is_shown_once_it_was_looked_for(
    cache_of: tuple[World, Client], tmp_path: Path
) -> None:
    world, client = cache_of
    assert not [name for name, _ in numbers(client) if name.startswith("glancekit_orphan")]
    world = replace(world, auditing=Auditing(orphan_age=timedelta(0)))
    store = world.stores.default
    store.write(IMAGE, FileStream(io.BytesIO(DATA)), len(DATA))
    look_through_all(world)
    found = numbers(client)
    assert found["glancekit_orphans", (store.id,)] == 1
    assert found["glancekit_orphan_bytes", (store.id,)] == len(DATA)
