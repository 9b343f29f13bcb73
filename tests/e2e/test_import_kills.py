# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed at each boundary of each step, and amid those that move bytes.

All of it: python tests/e2e/kill_imports.py --help, with each commit and save as well, and python
tests/e2e/kill_pairs.py --help, with everything as it is shipped and two workers that are alive.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_imports.py")
PAIRS = Path(__file__).with_name("kill_pairs.py")
LIMIT = 900


def kills(folder: Path, *options: str, program: Path = PROGRAM) -> dict[str, object]:
    """Run a program and return what it counted."""
    command = [sys.executable, "-W", "ignore", str(program), "--folder", str(folder), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert run.returncode == 0, run.stderr[-4000:]
    counted: dict[str, object] = json.loads(run.stdout.splitlines()[-1])
    print(counted)
    return counted


@pytest.mark.timeout(LIMIT)
@pytest.mark.parametrize(
    ("options", "least"),
    [
        (["--method", "glance-direct"], 5),
        (["--method", "web-download", "--steps"], 6),
        (["--method", "copy-image"], 4),
        (["--method", "web-download", "--missing"], 2),
    ],
)
def test_every_import_survives(tmp_path: Path, options: list[str], least: int) -> None:
    counted = kills(tmp_path, *options, "--every", "3")
    total = counted["total"]
    assert isinstance(total, int) and total >= least
    assert counted["others"] == {}
    assert counted["survived"] == total
    nothing = ("stuck images", "orphaned bytes", "rows", "jobs")
    assert {name: counted[name] for name in nothing} == dict.fromkeys(nothing, 0)


@pytest.mark.timeout(LIMIT)
def test_every_import_survives_one_of_two_live_workers(tmp_path: Path) -> None:
    if reason := missing_for_pairs():
        pytest.skip(reason)
    counted = kills(tmp_path, "--full", "may", "--every", "11", program=PAIRS)
    assert isinstance(counted["total"], int) and counted["total"] >= 2
    assert counted["others"] == {}
    assert counted["survived"] == counted["total"]
    assert counted["undisturbed"] == "survived"
    nothing = ("stuck images", "orphaned bytes", "rows", "jobs")
    assert {name: counted[name] for name in nothing} == dict.fromkeys(nothing, 0)


def missing_for_pairs() -> str | None:
    """Return what to install before the shipped parts can be tried; None when all is there."""
    pytest.importorskip("glancekit_image_steps", reason="pip install glancekit-image-steps")
    pytest.importorskip("glancekit_web_download", reason="pip install glancekit-web-download")
    if shutil.which("qemu-img") is None:
        return "no qemu-img; on Debian: apt install qemu-utils"
    from glancekit_web_reading.testing import missing

    return missing()
