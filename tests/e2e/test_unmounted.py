# SPDX-License-Identifier: Apache-2.0
"""A file store whose file system is not mounted: its images are away, not lost, and nothing new
goes to the folder beneath. It is a real mount, of a folder that keeps what is in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

DATA = os.urandom(300_000)
NET = {"x-image-meta-store": "net"}

CONFIG = """
[DEFAULT]
enabled_backends = net:file, local:file
[glance_store]
default_backend = local
[net]
filesystem_store_datadir = {folder}
breaker_failures = 2
breaker_pause = 0.2
breaker_longest_pause = 0.4
"""


class Mount:
    """A folder of a disk that is mounted on another folder, or not."""

    def __init__(self, disk: Path, folder: Path) -> None:
        self.disk = disk
        self.folder = folder
        disk.mkdir()
        folder.mkdir()

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", str(self.disk), str(self.folder)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @property
    def is_mounted(self) -> bool:
        return os.path.ismount(self.folder) or self.folder.samefile(self.disk)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Mount]:
    net = Mount(tmp_path / "disk", tmp_path / "net")
    try:
        net.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("to mount and unmount a folder needs root, who may mount")
    yield net
    if net.is_mounted:
        net.unmount()


@pytest.fixture
def service(make_service: Callable[..., Any], net: Mount) -> Any:
    service = make_service(CONFIG.format(folder=net.folder))
    service.start()
    return service


def stored(service: Any) -> str:
    image_id: str = service.create()
    assert service.upload(image_id, DATA, **NET).status_code == 204
    return image_id


def got(service: Any, image_id: str) -> int:
    return requests.get(f"{service.url}/v2/images/{image_id}/file", timeout=60).status_code


def health_of(service: Any, store: str) -> dict[str, Any]:
    answer = requests.get(
        f"{service.url}/healthcheck", headers={"Accept": "application/json"}, timeout=60
    )
    (part,) = [part for part in answer.json()["parts"] if part["name"] == f"store:{store}"]
    return dict(part)


def passing_over(service: Any) -> int:
    """Return how many processes pass the store over now: each says both in turn."""
    log = str(service.log)
    return log.count("store net is passed over") - log.count("store net answers again")


def assert_away(service: Any, net: Mount, image_id: str) -> None:
    """See that the store is away and stays so, however often it is asked how it is."""
    assert got(service, image_id) == 503
    service.wait_for(lambda: health_of(service, "net")["breaker"] == "open")
    for _ in range(10):  # with its processes' own probes in between
        assert got(service, image_id) == 503
        part = health_of(service, "net")
        assert not part["ok"]
        assert "is its file system mounted?" in part["detail"]
    queued = service.create()
    assert service.upload(queued, DATA, **NET).status_code == 503
    assert service.status(queued) == "queued"
    assert [*net.folder.iterdir()] == []


def assert_back(service: Any, image_id: str) -> None:
    # Each of the service's two processes finds out by itself, and says so.
    service.wait_for(lambda: passing_over(service) == 0)
    assert service.download(image_id) == DATA
    assert health_of(service, "net")["ok"]
    assert service.upload(service.create(), DATA, **NET).status_code == 204


def test_a_file_system_that_is_unmounted_and_mounted_again(service: Any, net: Mount) -> None:
    image_id, going = stored(service), stored(service)
    net.unmount()
    assert_away(service, net, image_id)
    deleted = requests.delete(f"{service.url}/v2/images/{going}", timeout=60)
    assert deleted.status_code == 204
    assert [*net.folder.iterdir()] == []
    assert (net.disk / going).exists()
    net.mount()
    assert_back(service, image_id)
    service.wait_for(lambda: not (net.disk / going).exists(), seconds=150.0)


def test_a_file_system_that_is_not_mounted_at_a_start(service: Any, net: Mount) -> None:
    image_id = stored(service)
    service.stop()
    net.unmount()
    service.start()
    assert_away(service, net, image_id)
    net.mount()
    assert_back(service, image_id)
