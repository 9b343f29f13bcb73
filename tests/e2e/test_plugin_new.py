# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugin new`` as a vendor uses it: outside the tree, with wheels alone, in a fresh
environment. What it writes passes its own tests at once, and the service takes it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glancekit.cli.scaffold.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("plugins/sql_metadata", "plugins/sqlite_metadata", "plugins/file_store")
"""What a plugin may begin with, and what the service needs to start."""

LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "*.egg-info", "__pycache__", "var", "docs", "benchmarks", "tests"
)
PATIENCE = 600

pytestmark = pytest.mark.timeout(PATIENCE)


class Vendor:
    """A folder, and an environment with what can be installed of glancekit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = folder / "venv/bin"

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        """Run a program of the environment, which must go well, and return what it said."""
        done = self.attempt(program, *arguments, cwd=cwd)
        assert done.returncode == 0, f"{program} {arguments}: {done.stdout}"
        return done.stdout

    def attempt(
        self, program: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, however it goes."""
        outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=cwd or self.folder,
            env=outside,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """A vendor who has just installed the kit."""
    folder = tmp_path_factory.mktemp("vendor")
    source, wheels = folder / "source", folder / "wheels"
    shutil.copytree(ROOT, source, ignore=LEFT_OUT)
    parts = [source, *(source / part for part in NEEDED)]
    command = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(wheels), *map(str, parts)]
    subprocess.run(command, check=True, capture_output=True)
    shutil.rmtree(source)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    vendor = Vendor(folder)
    names = ["glancekit[testing]", "setuptools>=77"]
    names += [f"glancekit-{Path(part).name.replace('_', '-')}" for part in NEEDED]
    vendor.run("pip", "--quiet", "install", "--find-links", str(wheels), *names)
    return vendor


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_its_own_tests_and_is_taken(vendor: Vendor, kind: str) -> None:
    name = "fine-acme"
    said = vendor.run("glancekit", "plugin", "new", kind, name)
    home = vendor.folder / said.split("/", 1)[0]
    assert (home / "README.rst").is_file()
    vendor.run("pip", "--quiet", "install", "--no-build-isolation", "--no-deps", "-e", str(home))
    tested = vendor.run("pytest", "-q", "-p", "no:cacheprovider", cwd=home)
    assert " passed" in tested
    assert " failed" not in tested
    reports = json.loads(vendor.run("glancekit", "plugins", "-f", "json"))
    (report,) = [
        each for each in reports if each["name"] == name and each["group"] == KINDS[kind].group
    ]
    assert report["state"] == "ok", report["reason"]
    assert report["distribution"] == home.name


def test_nothing_is_overwritten(vendor: Vendor) -> None:
    kept = vendor.folder / "kept"
    kept.mkdir()
    (kept / "work").write_text("of weeks")
    done = vendor.attempt("glancekit", "plugin", "new", "store", "acme", "--folder", str(kept))
    assert done.returncode == 1
    assert "already" in done.stdout
    assert [path.name for path in kept.iterdir()] == ["work"]


@pytest.mark.parametrize("name", ["Acme", "1acme", "acme.store", "../acme", "a" * 41, "a--b", ""])
def test_a_name_that_cannot_be_one_is_told(vendor: Vendor, name: str) -> None:
    before = sorted(vendor.folder.iterdir())
    done = vendor.attempt("glancekit", "plugin", "new", "store", name)
    assert done.returncode == 1
    assert "cannot be a plugin's name" in done.stdout
    assert sorted(vendor.folder.iterdir()) == before
