# SPDX-License-Identifier: Apache-2.0
"""Numbers for Prometheus and for administrators, in one process; e2e has several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from glancekit.api import metrics
from glancekit.api.app import create_app
from glancekit.api.metrics import Metrics
from glancekit.api.options import ApiSettings
from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.errors import ConfigError
from glancekit.testing.client import Client, WsgiTransport

DATA = b"an image " * 1000


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
