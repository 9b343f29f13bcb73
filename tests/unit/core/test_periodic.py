# SPDX-License-Identifier: Apache-2.0
"""Periodic work and the election of who does it, with real threads and processes."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from glancekit.core import periodic
from glancekit.core.election import FileElection
from glancekit.core.periodic import (
    Cluster,
    Election,
    PeriodicRunner,
    PeriodicTask,
    Turn,
    to_the_end,
)
from glancekit.testing.waiting import wait_until

PATIENCE = 30.0
"""Seconds after which something that should have happened did not."""


class Alone(Election):
    """An election that is won or lost as the test says, and tells when it is left."""

    def __init__(self, *, won: bool = True) -> None:
        self.answer = won
        self.asked = threading.Semaphore(0)
        self.left = threading.Event()

    def won(self) -> bool:
        self.asked.release()
        return self.answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.left.set()


@contextmanager
def running(*tasks: PeriodicTask, election: Election | None = None) -> Iterator[PeriodicRunner]:
    runner = PeriodicRunner(tasks, election or Alone())
    runner.start()
    try:
        yield runner
    finally:
        runner.stop(PATIENCE)


def every(interval: float, run: Callable[[], object], **more: float) -> PeriodicTask:
    return PeriodicTask(name="the task", interval=interval, run=run, **more)


def test_runs_at_once_and_again() -> None:
    ran = threading.Semaphore(0)
    with running(every(0.01, ran.release)):
        for _ in range(3):
            assert ran.acquire(timeout=PATIENCE)


def test_a_task_that_fails_runs_again_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    tries = threading.Semaphore(0)

    def fail() -> None:
        tries.release()
        raise OSError("the disk is gone")

    with running(every(0.01, fail)):
        for _ in range(3):
            assert tries.acquire(timeout=PATIENCE)
    assert "periodic task the task failed" in caplog.text
    assert "the disk is gone" in caplog.text


def test_a_task_that_hangs_keeps_no_other_waiting_and_is_complained_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go, starts, ran = threading.Event(), queue.SimpleQueue[int](), threading.Semaphore(0)

    def hang() -> None:
        starts.put(1)
        let_go.wait()

    with running(every(0.01, hang, deadline=0.05), every(0.01, ran.release)):
        while "has been running for" not in caplog.text:
            assert ran.acquire(timeout=PATIENCE)
        assert starts.qsize() == 1  # never twice at a time
        let_go.set()
    assert caplog.text.count("has been running for") == 1


def test_jitter_is_added_to_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    ran = threading.Semaphore(0)
    with running(every(0.0, ran.release, jitter=3600)):
        assert ran.acquire(timeout=PATIENCE)
        assert not ran.acquire(timeout=0.3)


def test_stop_waits_for_the_task_and_only_then_leaves_the_election() -> None:
    started, let_go, ended = threading.Event(), threading.Event(), threading.Event()

    def run() -> None:
        started.set()
        let_go.wait()
        ended.set()

    election = Alone()
    runner = PeriodicRunner([every(3600, run)], election)
    runner.start()
    assert started.wait(PATIENCE)
    stopping = threading.Thread(target=runner.stop, args=(PATIENCE,))
    stopping.start()
    assert not election.left.wait(0.2)
    let_go.set()
    stopping.join(PATIENCE)
    assert ended.is_set()
    assert election.left.is_set()


def test_stop_gives_up_on_a_task_that_hangs_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    started, let_go = threading.Event(), threading.Event()
    election = Alone()

    def run() -> None:
        started.set()
        let_go.wait()

    runner = PeriodicRunner([every(3600, run)], election)
    runner.start()
    assert started.wait(PATIENCE)
    runner.stop(0.1)
    assert "cut off by the stop: the task" in caplog.text
    assert not election.left.is_set()  # nobody else may run it meanwhile
    let_go.set()
    assert election.left.wait(PATIENCE)


def test_nothing_runs_before_the_election_is_won() -> None:
    ran = threading.Semaphore(0)
    election = Alone(won=False)
    with running(every(0.01, ran.release), election=election):
        assert election.asked.acquire(timeout=PATIENCE)
        assert election.asked.acquire(timeout=PATIENCE)
        assert not ran.acquire(blocking=False)
        election.answer = True
        assert ran.acquire(timeout=PATIENCE)


def test_an_election_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    ran = threading.Semaphore(0)

    class Failing(Alone):
        def won(self) -> bool:
            if super().won() and not self.left.is_set():
                self.left.set()
                raise OSError("no such folder")
            return True

    with running(every(0.01, ran.release), election=Failing()):
        assert ran.acquire(timeout=PATIENCE)
    assert "no such folder" in caplog.text


HOLD = """
import sys, time
from pathlib import Path
from glancekit.core.election import FileElection
with FileElection(Path(sys.argv[1])) as election:
    print(election.won(), flush=True)
    time.sleep(60)
"""


def test_one_process_holds_the_file_election_until_it_dies(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "True\n"
            with FileElection(tmp_path) as election:
                assert not election.won()
                holder.send_signal(signal.SIGKILL)
                holder.wait(PATIENCE)
                assert election.won()
                assert election.won()
        finally:
            holder.kill()
    with FileElection(tmp_path) as election:
        assert election.won()


class Given(Cluster):
    """Gives turns that are over when the test says so."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def take(self, name: str) -> Turn | None:
        over = self.over

        class Taken(Turn):
            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                pass

            def is_over(self) -> bool:
                return over.is_set()

        return Taken()

    def close(self) -> None:
        pass


def test_a_task_of_steps_is_ended_between_two_and_closed() -> None:
    cluster, steps, closed = Given(), threading.Semaphore(0), threading.Event()

    def run() -> Iterator[None]:
        try:
            while True:
                steps.release()
                yield
        finally:
            closed.set()

    runner = PeriodicRunner([every(3600.0, run)], Alone(), cluster=cluster)
    runner.start()
    try:
        for _ in range(3):
            assert steps.acquire(timeout=PATIENCE)
        cluster.over.set()
        assert closed.wait(PATIENCE)
    finally:
        assert runner.stop(PATIENCE)


def test_what_a_task_of_steps_returns_is_its_result() -> None:
    def run() -> Generator[None, None, str]:
        yield
        yield
        return "done"

    assert to_the_end(run()) == "done"
    assert to_the_end("at once") == "at once"


def test_a_task_that_goes_on_after_its_turn_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "GRACE", 0.05)
    monkeypatch.setattr(periodic, "ELECTION_PAUSE", 0.02)
    cluster, began, end = Given(), threading.Event(), threading.Event()

    def run() -> None:
        began.set()
        assert end.wait(PATIENCE)

    runner = PeriodicRunner([every(3600.0, run)], Alone(), cluster=cluster)
    runner.start()
    try:
        assert began.wait(PATIENCE)
        cluster.over.set()
        wait_until(lambda: "the task goes on" in caplog.text)
        time.sleep(0.2)
        assert caplog.text.count("the task goes on") == 1
    finally:
        end.set()
        assert runner.stop(PATIENCE)
