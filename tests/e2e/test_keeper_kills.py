# SPDX-License-Identifier: Apache-2.0
"""Whatever is killed while it uploads, deletes, restores, scrubs or reaps: no image loses data,
and no data is left without an image.

``kill_keepers.py`` does it, and is also run by hand for hundreds of kills.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_keepers.py")
LIMIT = 300


@pytest.mark.timeout(LIMIT)
def test_the_reaper_never_touches_what_an_image_points_to(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", str(PROGRAM), "--folder", str(tmp_path)]
    run = subprocess.run(
        [*command, "--kills", "10"], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert run.returncode == 0, run.stderr[-4000:]
    counted = json.loads(run.stdout.splitlines()[-1])
    assert counted["kept"] > 0
    wrong = ("lost", "missing", "left over", "stray left", "unsettled rows", "saving")
    assert {name: counted[name] for name in wrong} == dict.fromkeys(wrong, 0)
