# SPDX-License-Identifier: Apache-2.0
"""What the tutorials tell a newcomer to type works, word for word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorial"
PACKAGES = ROOT / "tests" / "e2e" / "out_of_tree"


def commands(page: str) -> str:
    """The shell commands of a page, in order."""
    text = (TUTORIALS / page).read_text()
    blocks = re.findall(r"\.\. code-block:: sh\n\n((?:      .*\n|\n)+)", text)
    assert blocks, page
    return "\n".join(textwrap.dedent(block) for block in blocks)


def test_the_first_image(service, tmp_path):
    script = commands("first-image.rst")
    assert script.count("glancekit image") >= 5
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euxc", script],
        cwd=tmp_path,
        env={**os.environ, "GLANCEKIT_URL": service.url, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert '"os_distro": "debian"' in done.stdout
    assert (tmp_path / "copy.raw").stat().st_size == 16 << 20


@pytest.fixture
def installed(request, tmp_path, monkeypatch):
    """Install a tutorial's package as pip does, for the processes that the test starts."""
    folder = tmp_path / "site"
    source = tmp_path / request.param
    source.mkdir()
    for file in (PACKAGES / request.param).iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize("installed", ["acme_census"], indirect=True)
@pytest.mark.usefixtures("installed")
def test_the_periodic_task(make_service, tmp_path):
    census = tmp_path / "images.json"
    service = make_service(f"[acme_census]\nfile = {census}\ninterval = 0.2\n")
    service.start()
    service.create()
    service.wait_for(census.exists)
    service.wait_for(lambda: sum(json.loads(census.read_text()).values()) == 1)


@pytest.mark.parametrize("installed", ["acme_inspection"], indirect=True)
@pytest.mark.usefixtures("installed")
def test_the_import_step(make_service):
    service = make_service(
        "[image_import_opts]\nimage_import_plugins = acme_inspection\n"
        "[acme_inspection]\nlargest = 1\n"
    )
    service.start()
    small = imported(service, b"x" * 1000)
    service.wait_for(lambda: service.show(small)["status"] == "active")
    assert service.show(small)["acme_inspected"] == "yes"
    large = imported(service, b"x" * (1 << 20) + b"x")
    tasks = f"{service.url}/v2/images/{large}/tasks"
    service.wait_for(
        lambda: requests.get(tasks, timeout=30).json()["tasks"][0]["status"] == "failure"
    )
    assert "ACME takes 1048576" in requests.get(tasks, timeout=30).json()["tasks"][0]["message"]


def imported(service, data):
    """Stage an image's data and have them imported."""
    image = service.create()
    address = f"{service.url}/v2/images/{image}"
    headers = {"Content-Type": "application/octet-stream"}
    requests.put(f"{address}/stage", data=data, headers=headers, timeout=30).raise_for_status()
    method = {"method": {"name": "glance-direct"}}
    requests.post(f"{address}/import", json=method, timeout=30).raise_for_status()
    return image


def test_the_tutorials_show_whole_packages():
    pages = {
        "write-a-store": "acme_store",
        "periodic-task": "acme_census",
        "import-step": "acme_inspection",
    }
    for page, package in pages.items():
        text = (TUTORIALS / f"{page}.rst").read_text()
        shown = set(re.findall(rf"out_of_tree/{package}/(\S+)", text))
        written = {path.name for path in (PACKAGES / package).iterdir() if path.is_file()}
        assert shown == written
