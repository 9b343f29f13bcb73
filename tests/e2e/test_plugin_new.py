# SPDX-License-Identifier: Apache-2.0
"""A vendor's way to a plugin, outside the tree, with wheels alone, in a fresh environment: with
``glancekit plugin new``, whose packages pass their own tests at once and are taken by the service;
and with the tutorial, which is done word by word.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from glancekit.cli.scaffold.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs/tutorial/write-a-store.rst"
NEEDED = (
    *("plugins/sql_metadata", "plugins/sqlite_metadata", "plugins/file_store"),
    *("plugins/web_reading", "plugins/web_download"),
)
"""What a plugin may begin with, and what the service needs to start as it is by default."""

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
    name = f"acme-{kind}"
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


def test_a_new_command_can_be_typed(vendor: Vendor) -> None:
    said = vendor.run("glancekit", "plugin", "new", "commands", "look")
    home = vendor.folder / said.split("/", 1)[0]
    vendor.run("pip", "--quiet", "install", "--no-build-isolation", "--no-deps", "-e", str(home))
    assert "From glancekit-look." in vendor.run("glancekit", "--help")
    config = vendor.folder / "look.conf"
    config.write_text(f"[DEFAULT]\ndata_dir = {vendor.folder / 'looked'}\n")
    assert vendor.run("glancekit", "--config-file", str(config), "look", "list") == ""


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


def blocks(language: str) -> list[str]:
    """The tutorial's blocks in a language, in order."""
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:   .*\n|\n)+)", TUTORIAL.read_text())
    return [textwrap.dedent(block).strip() for block in found]


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def lines_of_python(source: str) -> int:
    """Lines that somebody has to type: neither empty nor a comment."""
    return sum(bool(line.split("#")[0].strip()) for line in source.splitlines())


def written_by_hand(folder: Path) -> None:
    """Type what the tutorial shows: the files that it includes, and the configuration."""
    included = re.findall(r"literalinclude:: (\S+)", TUTORIAL.read_text())
    assert len(included) == 4
    for name in included:
        source = (TUTORIAL.parent / name).resolve()
        (folder / source.name).write_text(source.read_text())
    (configuration,) = blocks("ini")
    (folder / "glancekit.conf").write_text(configuration)


@contextmanager
def running(command: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the service as long as something else is done; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    variables = {**environment, "OS_SERVER__PORT": str(port)}
    log = folder.parent / "serve.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=out, stderr=out)
    try:
        ends = time.monotonic() + 60
        while not is_well(url):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)


def is_well(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthcheck", timeout=5).ok
    except requests.RequestException:
        return False


def test_the_tutorial_takes_what_it_says() -> None:
    source = ROOT / "tests/e2e/out_of_tree/acme_store/acme_store.py"
    said = re.search(r"takes (\d+) lines of Python and (\d+)\s+commands", TUTORIAL.read_text())
    assert said is not None
    assert int(said[1]) == lines_of_python(source.read_text()) <= 40
    assert int(said[2]) == len(commands()) <= 8


def test_the_tutorial_from_an_empty_folder_to_an_image_on_the_shelf(
    vendor: Vendor, tmp_path: Path
) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    written_by_hand(folder)
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        "PATH": f"{vendor.folder / 'venv/bin'}{os.pathsep}{os.environ['PATH']}",
        # What a vendor has from an index, the environment has already.
        "PIP_FIND_LINKS": str(vendor.folder / "wheels"),
        "PIP_NO_BUILD_ISOLATION": "0",
    }

    def do(command: str, **further: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env={**environment, **further},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"
        return done.stdout

    typed = commands()
    serve = next(place for place, command in enumerate(typed) if command.endswith(" serve"))
    before, served, after = typed[:serve], typed[serve].split(), typed[serve + 1 :]
    said = {command: do(command) for command in before}
    assert re.search(r"\d\d passed", said["pytest"])
    program = str(vendor.folder / "venv/bin" / served[0])
    with running([program, *served[1:]], folder, environment) as url:
        for command in after:
            do(command, GLANCEKIT_URL=url)
    assert (folder / "copy.py").read_text() == (folder / "acme_store.py").read_text()
    assert [path.read_text() for path in (folder / "var/shelf").iterdir()] == [
        (folder / "acme_store.py").read_text()
    ]
