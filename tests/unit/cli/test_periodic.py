# SPDX-License-Identifier: Apache-2.0
"""``glancekit periodic``: seeing and driving tasks, with a runner beside and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
Install = Callable[..., str]

PATIENCE = 60.0

PLUGIN = """
from pathlib import Path
from glancekit.plugin import PeriodicTask, hookimpl

api_level = 1
MARK = Path({mark!r})

def count():
    runs = int(MARK.read_text()) + 1 if MARK.exists() else 1
    MARK.write_text(str(runs))
    return f"run {{runs}}"

def fail():
    raise OSError("the disk is gone")

@hookimpl
def register_periodic_tasks():
    return [
        PeriodicTask(name="count", interval=3600, run=count, explain=lambda: ["x: gone", "y: no"]),
        PeriodicTask(name="fail", interval=3600, run=fail, jitter=60, everywhere=True),
    ]
"""


@pytest.fixture
def mark(install: Install, tmp_path: Path) -> Path:
    """The file in which a plugin's task counts its runs."""
    mark = tmp_path / "mark"
    install("acme-tasks", PLUGIN.format(mark=str(mark)), {"glancekit.hooks": {"acme": ""}})
    return mark


def listed(run: Run, name: str) -> Any:
    rows = json.loads(run("periodic", "list", "-f", "json").out)
    return next(row for row in rows if row["name"] == name)


def test_a_task_is_run_here_where_nobody_runs_them(run: Run, mark: Path) -> None:
    row = listed(run, "count")
    assert (row["state"], row["interval"], row["last_start"]) == ("waiting", 3600, None)
    assert run("periodic", "run", "count").out == "run 1\n"
    assert run("periodic", "run", "count").out == "run 2\n"  # due or not
    row = listed(run, "count")
    assert (row["state"], row["result"], row["host"]) == ("waiting", "run 2", None)
    assert row["next_run"] > row["last_start"]
    told = json.loads(run("periodic", "history", "count", "-f", "json").out)
    assert [one["result"] for one in told] == ["run 2", "run 1"]


def test_a_failure_is_told_and_kept(run: Run, mark: Path) -> None:
    outcome = run("periodic", "run", "fail")
    assert (outcome.code, "OSError: the disk is gone" in outcome.err) == (1, True)
    row = listed(run, "fail")
    assert (row["error"], row["jitter"]) == ("OSError: the disk is gone", 60)
    assert row["host"] == os.uname().nodename
    host = row["host"]
    assert run("periodic", "forget", "fail", "--host", host).code == 0
    assert listed(run, "fail")["last_start"] is None


def test_a_dry_run_does_nothing(run: Run, mark: Path) -> None:
    assert run("periodic", "run", "count", "--dry-run").out == "x: gone\ny: no\n"
    assert not mark.exists()
    outcome = run("periodic", "run", "fail", "--dry-run")
    assert (outcome.code, "does not tell" in outcome.err) == (1, True)


def test_a_task_that_there_is_not(run: Run, mark: Path) -> None:
    for command in ("run", "pause", "resume", "history"):
        outcome = run("periodic", command, "nothing")
        assert (outcome.code, "no periodic task 'nothing'" in outcome.err) == (1, True)


@contextmanager
def runner(config_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    path = os.pathsep.join([*(folder for folder in sys.path if "/site/" in folder)])
    process = subprocess.Popen(
        [sys.executable, "-m", "glancekit.cli", "--config-file", str(config_file), "periodic"],
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# tooz leaves the file of a lock that another process has to the garbage collection.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_process_that_runs_them_is_asked(run: Run, mark: Path, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "[plugins]\nplugin_start_timeout = 60\n")
    with runner(config_file):
        until(mark.exists)
        until(lambda: listed(run, "count")["result"] == "run 1")
        assert run("periodic", "run", "count").out == "run 2\n"
        assert run("periodic", "pause", "count").code == 0
        assert listed(run, "count")["state"] == "paused"
        assert run("periodic", "run", "count").out == "run 3\n"  # asked for is asked for
        assert listed(run, "count")["state"] == "paused"
        assert run("periodic", "resume", "count").code == 0
        outcome = run("periodic", "run", "fail")
        assert (outcome.code, "the disk is gone" in outcome.err) == (1, True)
        assert "was asked for" in run("periodic", "run", "count", "--no-wait").out
        until(lambda: mark.read_text() == "4")
