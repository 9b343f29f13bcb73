# SPDX-License-Identifier: Apache-2.0
"""The board in a folder: claims that die with their process, and jobs that are there once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from taskflow import states
from taskflow.exceptions import NotFound, UnclaimableJob
from taskflow.jobs.base import JobPriority

from glancekit.flows.boards import InTurn
from glancekit.flows.file_board import FileJobBoard


class Board(InTurn, FileJobBoard):
    """As open_board makes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("test", folder, None)
        self._until: dict[str, float] = {}


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    board = Board(tmp_path / "jobs")
    board.connect()
    yield board
    board.close()


@pytest.fixture
def other(tmp_path: Path, board: Board) -> Iterator[Board]:
    """The same board, as another process has it."""
    other = Board(tmp_path / "jobs")
    other.connect()
    yield other
    other.close()


CLAIM = """
import sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from glancekit.flows.file_board import FileJobBoard
board = FileJobBoard("test", Path(sys.argv[1]), None)
(job,) = board.iterjobs()
board.claim(job, "child")
print("claimed", flush=True)
sys.stdin.read()
"""


def names(jobs: Any) -> list[str]:
    return [job.name for job in jobs]


def test_a_job_is_posted_once(board: Board, tmp_path: Path) -> None:
    job = board.post("a", details={"x": 1})
    assert board.post("a", details={"x": 2}).details == {"x": 1}
    (found,) = board.every_job()
    assert (found.uuid, found.name, found.details) == (job.uuid, "a", {"x": 1})
    assert (board.job_count, found.state) == (1, states.UNCLAIMED)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [f"{job.uuid}.job"]


def test_claims_exclude_one_another(board: Board, other: Board) -> None:
    job = board.post("a")
    board.claim(job, "me")
    (seen,) = other.every_job()
    assert (job.state, seen.state) == (states.CLAIMED, states.CLAIMED)
    for elsewhere in (board, other):
        with pytest.raises(UnclaimableJob):
            elsewhere.claim(job, "you")
    with pytest.raises(NotFound):
        other.consume(seen, "you")
    board.abandon(job, "me")
    other.claim(seen, "you")
    other.consume(seen, "you")
    assert (job.state, board.job_count) == (states.COMPLETE, 0)
    with pytest.raises(NotFound):
        board.claim(job, "me")


def test_a_job_that_was_done_meanwhile_is_not_claimed(board: Board, other: Board) -> None:
    board.post("a")
    (seen,) = other.every_job()
    job = next(board.every_job())
    board.claim(job, "me")
    board.trash(job, "me")
    with pytest.raises(NotFound):
        other.claim(seen, "you")


def test_a_claim_dies_with_its_process(board: Board, tmp_path: Path) -> None:
    job = board.post("a")
    child = subprocess.Popen(
        [sys.executable, "-c", CLAIM, str(tmp_path / "jobs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == b"claimed\n"
    assert job.state == states.CLAIMED
    child.kill()
    child.communicate()
    board.claim(job, "me")


def test_priority_comes_before_age(board: Board) -> None:
    for name, priority in (("a", JobPriority.LOW), ("b", JobPriority.HIGH), ("c", "normal")):
        board.post(name, priority=priority)
    assert names(board.every_job()) == ["b", "c", "a"]


def test_projects_take_turns(board: Board, other: Board) -> None:
    for number in range(5):
        board.post(f"many {number}", details={"project": "many"})
    board.post("one", details={"project": "one"})
    assert names(board.iterjobs()) == ["many 0", "one", *(f"many {n}" for n in range(1, 5))]
    first = next(iter(other.iterjobs()))
    other.claim(first, "you")
    assert names(board.iterjobs())[0] == "one"


def test_what_is_another_s_is_left_alone_for_a_while(board: Board) -> None:
    board.post("a")
    board.post("b")
    (first, _) = board.iterjobs()
    board.leave_alone(first)
    assert names(board.iterjobs()) == ["b"]
    assert names(board.every_job()) == ["a", "b"]


def test_waiting(board: Board) -> None:
    with pytest.raises(NotFound):
        board.wait(0)
    board.post("a")
    assert names(board.wait(0)) == ["a"]


def test_a_file_that_a_kill_left_is_no_job(board: Board, tmp_path: Path) -> None:
    (tmp_path / "jobs" / "x.0123").write_text(json.dumps({})[:1])
    assert (board.job_count, names(board.every_job())) == (0, [])
