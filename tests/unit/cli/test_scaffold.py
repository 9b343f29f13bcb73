# SPDX-License-Identifier: Apache-2.0
"""What ``glancekit plugin new`` writes. That it works is the business of e2e/test_plugin_new."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from glancekit import testing
from glancekit.cli import cli
from glancekit.cli.scaffold.kinds import KINDS
from glancekit.cli.scaffold.writing import write
from glancekit.core import drivers

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new plugin of each kind."""
    folder = tmp_path_factory.mktemp("new")
    for number, kind in enumerate(KINDS.values()):
        write(kind, f"acme{number}", folder / str(number))
    return folder


def check(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_a_kind_for_every_group_of_entry_points() -> None:
    assert {kind.group for kind in KINDS.values()} == set(drivers.KINDS)


def test_help_names_every_kind() -> None:
    said = " ".join(CliRunner().invoke(cli, ["plugin", "new", "--help"]).output.split())
    for kind in KINDS:
        assert f" {kind}" in said, kind


def test_every_conformance_suite_is_somebody_s(written: Path) -> None:
    tests = "".join(path.read_text() for path in written.glob("*/tests/*.py"))
    kits = {name for name in testing.__all__ if name.endswith("Conformance")}
    assert len(kits) == len(drivers.KINDS)
    assert not {kit for kit in kits if f"({kit})" not in tests}


def test_a_new_plugin_has_no_fault_that_tools_find(written: Path) -> None:
    check("ruff", "check", "--no-cache", "--ignore", "I001", "--ignore", "E501", str(written))


def test_a_new_plugin_is_typed(written: Path, tmp_path: Path) -> None:
    packages = [str(path.parent) for path in sorted(written.glob("*/*/py.typed"))]
    assert len(packages) == len(KINDS)
    config: list[Any] = ["--config-file", str(ROOT / "pyproject.toml"), "--strict"]
    check("mypy", *config, "--cache-dir", str(tmp_path / "cache"), *packages)
