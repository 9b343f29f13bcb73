# SPDX-License-Identifier: Apache-2.0
"""Workers that are killed at each boundary of each step, and amid those that move bytes.

All of it, with each commit and save as well: python tests/e2e/kill_imports.py --help
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_imports.py")
LIMIT = 900


def kills(folder: Path, *options: str) -> dict[str, object]:
    """Run the program and return what it counted."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), "--folder", str(folder), *options]
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
