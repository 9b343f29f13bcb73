# SPDX-License-Identifier: Apache-2.0
"""Strangers' packages: one store that works, and three that do not but harm nobody."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parent / "out_of_tree"
DATA = os.urandom(3 << 20)

MOUNTED = """
[DEFAULT]
enabled_backends = shelf:acme
[plugins]
plugin_start_timeout = 5
"""

WITH_BROKEN_ONES = """
[DEFAULT]
enabled_backends = local:file, shelf:acme, one:broken_import, two:wrong_level, three:hangs
[glance_store]
default_backend = local
[plugins]
plugin_start_timeout = 2
"""

REASONS = {
    "broken_import": ("acme-broken-import-store", "No module named 'acme_sdk'"),
    "wrong_level": ("acme-wrong-level-store", "API level 99"),
    "hangs": ("acme-hanging-store", "not ready within 2 s"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of the packages' sources, outside the tree."""
    folder = tmp_path_factory.mktemp("strangers") / "src"
    return Path(shutil.copytree(PACKAGES, folder))


@pytest.fixture(scope="module")
def site(sources: Path) -> Path:
    """A folder into which pip installed all of them."""
    folder = sources.parent / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(folder)]
    packages = sorted(str(found.parent) for found in sources.glob("*/setup.cfg"))
    done = subprocess.run([*command, *packages], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process that the test starts find the packages."""
    monkeypatch.setenv("PYTHONPATH", str(site))


def glancekit(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glancekit.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def listed(*arguments: str) -> list[dict[str, Any]]:
    done = glancekit(*arguments, "-f", "json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def store_plugins(service: Any) -> dict[str, dict[str, Any]]:
    reports = listed("--config-file", str(service.config), "plugins")
    return {r["name"]: r for r in reports if r["group"] == "glancekit.stores"}


def test_the_store_passes_the_kit(installed: None, sources: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "test_acme_store.py"],
        cwd=sources / "acme_store",
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 20


def test_the_store_is_mounted_by_naming_it(
    installed: None, make_service: Callable[..., Any]
) -> None:
    service = make_service(MOUNTED)
    service.start()
    image = service.create()
    assert service.upload(image, DATA).status_code == 204
    assert service.download(image) == DATA
    assert (service.data_dir / "shelf" / image).read_bytes() == DATA
    (store,) = listed("--config-file", str(service.config), "stores")
    assert store["capabilities"] == ["SupportsWrite", "SupportsDelete"]


def test_broken_stores_cost_nobody_else_anything(
    installed: None, make_service: Callable[..., Any]
) -> None:
    service = make_service(WITH_BROKEN_ONES)
    service.start()
    image = service.create()
    assert service.upload(image, DATA).status_code == 204
    assert service.download(image) == DATA
    reports = store_plugins(service)
    for name, (distribution, reason) in REASONS.items():
        assert reports[name]["state"] == "broken"
        assert reports[name]["distribution"] == distribution
        assert reason in reports[name]["reason"]
        assert reason in service.log
    assert reports["file"]["state"] == "ok"
    assert reports["acme"]["state"] == "ok"


def test_broken_stores_are_named_although_nobody_uses_them(
    installed: None, make_service: Callable[..., Any]
) -> None:
    reports = store_plugins(make_service("[plugins]\nplugin_start_timeout = 2\n"))
    for name, (distribution, reason) in REASONS.items():
        assert (reports[name]["state"], reports[name]["use"]) == ("broken", "")
        assert reports[name]["distribution"] == distribution
        assert reason in reports[name]["reason"]
    assert reports["acme"]["state"] == "ok"


def test_a_broken_default_store_stops_the_start_with_advice(
    installed: None, make_service: Callable[..., Any]
) -> None:
    service = make_service("[DEFAULT]\nenabled_backends = fast:broken_import\n")
    done = glancekit(
        "--config-file", str(service.config), "serve", "--data-dir", str(service.data_dir)
    )
    assert done.returncode == 78
    for part in ("acme_sdk", "acme-broken-import-store", "enabled_backends"):
        assert part in done.stderr
