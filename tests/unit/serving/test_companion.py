# SPDX-License-Identifier: Apache-2.0
"""A process beside the service: there when it is wanted, gone when its parent is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glancekit.serving.companion import Companion, python

WAIT = """
import os, sys
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
sys.stdin.read()
"""

PARENT = """
import sys, time
from glancekit.serving.companion import Companion
Companion([sys.executable, "-c", sys.argv[1], sys.argv[2]], {}).ensure()
time.sleep(60)
"""


def started(file: Path, count: int) -> list[int]:
    """Wait until so many have said that they run."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pids = [int(line) for line in file.read_text().split()] if file.exists() else []
        if len(pids) == count:
            return pids
        time.sleep(0.02)
    raise AssertionError(f"{count} should have started")


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_it_is_started_once_and_ended(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    beside = Companion([sys.executable, "-c", WAIT, str(file)], dict(os.environ))
    beside.ensure()
    (pid,) = started(file, 1)
    beside.ensure()
    beside.stop()
    assert not is_there(pid)
    beside.ensure()
    assert started(file, 1) == [pid]


def test_one_that_died_is_replaced_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pids"
    beside = Companion([sys.executable, "-c", WAIT, str(file)], dict(os.environ))
    beside.ensure()
    (pid,) = started(file, 1)
    os.kill(pid, signal.SIGKILL)
    beside.ensure()  # too soon
    assert started(file, 1) == [pid]
    monkeypatch.setattr(beside, "_not_before", 0.0)
    while len(file.read_text().split()) == 1:
        beside.ensure()
        time.sleep(0.02)
    assert started(file, 2)[0] == pid
    beside.stop()


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, WAIT, str(file)])
    (pid,) = started(file, 1)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_there(pid)


def test_the_interpreter_is_one() -> None:
    assert subprocess.run([python(), "-c", ""], check=False).returncode == 0
