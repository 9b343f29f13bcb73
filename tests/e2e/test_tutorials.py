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

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = ROOT / "docs" / "tutorial"
CENSUS = ROOT / "tests" / "e2e" / "out_of_tree" / "acme_census"


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
def census_installed(tmp_path, monkeypatch):
    """Install the tutorial's package as pip does, for the processes that the test starts."""
    folder = tmp_path / "site"
    source = tmp_path / "acme_census"
    source.mkdir()
    for file in CENSUS.iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-index", "--no-build-isolation", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("census_installed")
def test_the_periodic_task(make_service, tmp_path):
    census = tmp_path / "images.json"
    service = make_service(f"[acme_census]\nfile = {census}\ninterval = 0.2\n")
    service.start()
    service.create()
    service.wait_for(census.exists)
    service.wait_for(lambda: sum(json.loads(census.read_text()).values()) == 1)


def test_the_tutorials_show_whole_packages():
    for page, package in (("write-a-store", "acme_store"), ("periodic-task", "acme_census")):
        text = (TUTORIALS / f"{page}.rst").read_text()
        shown = set(re.findall(rf"out_of_tree/{package}/(\S+)", text))
        written = {path.name for path in (CENSUS.parent / package).iterdir() if path.is_file()}
        assert shown == written
