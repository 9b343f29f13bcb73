# SPDX-License-Identifier: Apache-2.0
"""Plugins of an older API level are used, all kinds of them, by a service of each level that takes
them; by one that does not, they are left out, and named.

As long as the host's level is not that high, its processes are told another one when they start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from glancekit.core import drivers

LEVELS = Path(__file__).parent / "out_of_tree" / "levels"
DATA = bytes(range(256)) * 4000
SECRET = "of the tests"

RAISED = """
# Every process of the test begins with this: a host of another level.
from glancekit.core import drivers

drivers.API_LEVEL = {level}
drivers.SUPPORTED_LEVELS = range(max(1, {level} - 2), {level} + 1)
"""

CONFIG = """
[DEFAULT]
enabled_backends = shelf:old
enabled_import_methods = glance-direct, old
image_cache_dir = {folder}/cache
image_cache_policy = old
data_dir = {folder}/data-0
[metadata]
driver = old
[auth]
driver = old
old_secret = of the tests
[quotas]
driver = old
[old_limits]
old_file = {folder}/limits.json
[old_import]
old_folder = {folder}/source
[image_import_opts]
image_import_plugins = old
[old_step]
old_label = seen
[old]
old_file = {folder}/counts.json
"""

pytestmark = pytest.mark.timeout(300)

TRIED = [
    (level, host)
    for level in drivers.SUPPORTED_LEVELS
    for host in range(level, level + 3)
    if host >= drivers.API_LEVEL
]
"""Levels of plugins, and those of hosts, from today's on, that take them."""


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Install the plugins of a level, each into a folder of its own, once."""
    folder = tmp_path_factory.mktemp("levels")

    def site(level: int) -> Path:
        made = folder / f"site-{level}"
        if not made.exists():
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index"]
            command += ["--disable-pip-version-check", "--no-build-isolation", "--no-deps"]
            source = folder / f"level_{level}"
            for file in (LEVELS / source.name).rglob("*"):
                if file.suffix in (".py", ".cfg", ".toml"):
                    to = source / file.relative_to(LEVELS / source.name)
                    to.parent.mkdir(parents=True, exist_ok=True)
                    to.write_bytes(file.read_bytes())
            done = subprocess.run(
                [*command, "--target", str(made), str(source)], capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        return made

    return site


def raise_level(site: Path, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every process from now on find the plugins, and be of a level."""
    (site / "sitecustomize.py").write_text(RAISED.format(level=level))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def glancekit(config: Path, *words: str) -> str:
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(config), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def reports(config: Path, level: int) -> list[dict[str, Any]]:
    found = json.loads(glancekit(config, "plugins", "-f", "json"))
    return [report for report in found if report["distribution"] == f"acme-level-{level}"]


def caller(project: str) -> dict[str, str]:
    signature = hmac.new(SECRET.encode(), f"alice {project}".encode(), hashlib.sha256).hexdigest()
    return {"Authorization": f"OldAuth alice {project} {signature}"}


class User:
    """Somebody of a project, with a service."""

    def __init__(self, url: str, project: str) -> None:
        self._url = f"{url}/v2/images"
        self._session = requests.Session()
        self._session.headers.update(caller(project))

    def create(self) -> requests.Response:
        fields = {"name": "cirros", "disk_format": "raw", "container_format": "bare"}
        return self._session.post(self._url, json=fields, timeout=30)

    def image(self) -> str:
        answer = self.create()
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def upload(self, image: str) -> None:
        kind = {"Content-Type": "application/octet-stream"}
        answer = self._session.put(f"{self._url}/{image}/file", DATA, headers=kind, timeout=60)
        assert answer.status_code == 204, answer.text

    def download(self, image: str) -> bytes:
        return self._session.get(f"{self._url}/{image}/file", timeout=60).content

    def bring(self, image: str) -> None:
        method = {"method": {"name": "old", "file": "cirros.img"}}
        answer = self._session.post(f"{self._url}/{image}/import", json=method, timeout=30)
        assert answer.status_code == 202, answer.text

    def show(self, image: str) -> dict[str, Any]:
        return dict(self._session.get(f"{self._url}/{image}", timeout=30).json())


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration that names a plugin of each kind, and what these need."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "cirros.img").write_bytes(DATA)
    (tmp_path / "limits.json").write_text('{"small": {"image_count_total": 1}}')
    return CONFIG.format(folder=tmp_path)


@pytest.mark.parametrize(("level", "host"), TRIED, ids=[f"{a}-at-{b}" for a, b in TRIED])
def test_plugins_of_a_level_are_used_by_the_two_that_follow(
    sites: Callable[[int], Path],
    make_service: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    tmp_path: Path,
    level: int,
    host: int,
) -> None:
    raise_level(sites(level), host, monkeypatch)
    service = make_service(config)
    found = reports(service.config, level)
    assert {(one["state"], one["api_level"]) for one in found} == {("ok", level)}
    assert {one["group"] for one in found} == set(drivers.KINDS)
    service.start()
    user = User(service.url, "research")
    image = user.image()
    user.upload(image)
    assert user.download(image) == DATA
    assert (service.data_dir / "shelf" / image).read_bytes() == DATA
    brought = user.image()
    user.bring(brought)
    service.wait_for(lambda: user.show(brought)["status"] == "active")
    assert user.show(brought)["old"] == "seen"
    assert user.download(brought) == DATA
    assert requests.get(f"{service.url}/v2/images", timeout=30).status_code == 401
    small = User(service.url, "small")
    small.image()
    assert small.create().status_code == 413
    service.wait_for(lambda: any((tmp_path / "cache").rglob(f"*{image}*")))
    listed = glancekit(service.config, "old", "list", "--project", "research")
    assert set(listed.split()) >= {image, brought}
    glancekit(service.config, "periodic", "run", "old_task")
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == {"research": 2, "small": 1}


@pytest.mark.parametrize("level", drivers.SUPPORTED_LEVELS)
def test_a_host_that_is_further_names_them(
    sites: Callable[[int], Path],
    make_service: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    level: int,
) -> None:
    raise_level(sites(level), level + 3, monkeypatch)
    found = reports(make_service("").config, level)
    assert {one["group"] for one in found} == set(drivers.KINDS)
    for report in found:
        assert report["state"] == "broken"
        assert f"was written for API level {level}" in report["reason"]
        assert "install a newer version of acme-level" in report["reason"]


def test_there_are_plugins_of_every_level_that_is_taken() -> None:
    folders = {folder.name for folder in LEVELS.iterdir() if folder.is_dir()}
    assert folders == {f"level_{level}" for level in drivers.SUPPORTED_LEVELS}
