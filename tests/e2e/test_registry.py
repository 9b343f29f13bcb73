# SPDX-License-Identifier: Apache-2.0
"""An API node that knows no database: its records are behind ``glancekit registry``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from glancekit_registry_metadata.testing import KEY

from glancekit.testing.servers import free_port

START_LIMIT = 90.0
STOP_LIMIT = 90.0


class RegistryProcess:
    """``glancekit registry`` on a file of its own; ended and begun again on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._config = folder / "registry.conf"
        self._config.write_text(
            f"[DEFAULT]\ndata_dir = {folder}\n[registry]\nshared_key = {KEY}\n"
            "[plugins]\nplugin_start_timeout = 30\n"  # the machine may be busy
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(self._config)]
        with (self._folder / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "registry", "--port", str(self._port)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_LIMIT
        while True:
            try:
                assert requests.get(f"{self.url}/healthcheck", timeout=5).ok
                return
            except requests.ConnectionError:
                log_text = (self._folder / "registry.log").read_text()
                assert time.monotonic() < deadline, log_text
                assert self.process.poll() is None, log_text
                time.sleep(0.05)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(STOP_LIMIT)
        self.process = None
        return code


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    folder = tmp_path / "registry"
    folder.mkdir()
    registry = RegistryProcess(folder, free_port())
    registry.start()
    yield registry
    if registry.process is not None:
        registry.end(signal.SIGKILL)


@pytest.fixture
def node(registry: RegistryProcess, make_service: Callable[..., object]):
    service = make_service(
        f"[metadata]\ndriver = registry\nregistry_url = {registry.url}\nshared_key = {KEY}\n"
    )
    service.start()
    return service


def test_a_node_serves_images_whose_records_the_registry_keeps(registry, node):
    image_id = node.create(name="kept")
    data = os.urandom(100_000)
    assert node.upload(image_id, data).status_code == 204
    assert node.download(image_id) == data
    listed = requests.get(f"{node.url}/v2/images", timeout=30).json()["images"]
    assert [image["id"] for image in listed] == [image_id]
    assert not list(node.data_dir.glob("*.sqlite"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_node_goes_on_when_the_registry_comes_back(registry, node, number):
    image_id = node.create()
    code = registry.end(number)
    assert (code == 0) == (number is signal.SIGTERM)
    asked = requests.get(f"{node.url}/v2/images/{image_id}", timeout=30)
    assert asked.status_code == 503
    assert "Retry-After" in asked.headers
    registry.start()
    assert node.show(image_id)["status"] == "queued"
    assert node.upload(image_id, b"data").status_code == 204
