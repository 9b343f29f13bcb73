# SPDX-License-Identifier: Apache-2.0
"""Calls that hang cost their callers a deadline, and nobody else anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from glancekit.core.deadline import Deadline, DeadlineMissed

PATIENCE = 30.0


@pytest.fixture
def release() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def _none_left(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def hung(deadline: Deadline, release: threading.Event) -> None:
    with pytest.raises(DeadlineMissed):
        deadline.call(lambda: release.wait(PATIENCE))


def test_it_returns_what_the_call_returns() -> None:
    assert Deadline("test", PATIENCE).call(lambda: 42) == 42


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("its own")])
def test_it_raises_what_the_call_raises(error: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        Deadline("test", PATIENCE).call(fail)
    assert caught.value is error


def test_a_call_that_hangs_is_given_up(release: threading.Event) -> None:
    hung(Deadline("test", 0.05), release)


def test_others_go_on_while_one_hangs(release: threading.Event) -> None:
    deadline = Deadline("test", 0.5, threads=2)
    hung(deadline, release)
    assert [deadline.call(lambda n=n: n) for n in range(5)] == list(range(5))


def test_when_all_hang_the_next_fails_without_being_tried(release: threading.Event) -> None:
    deadline = Deadline("test", 0.05, threads=2)
    hung(deadline, release)
    hung(deadline, release)
    tried: list[int] = []
    with pytest.raises(DeadlineMissed, match="have not returned yet"):
        deadline.call(lambda: tried.append(1))
    assert not tried


def test_it_works_again_when_they_return(release: threading.Event) -> None:
    deadline = Deadline("test", 0.5, threads=1)
    returned = threading.Event()

    with pytest.raises(DeadlineMissed):
        deadline.call(lambda: release.wait(PATIENCE), too_late=lambda result: returned.set())
    release.set()
    assert returned.wait(PATIENCE)
    assert deadline.call(lambda: "again") == "again"


def test_a_late_result_is_let_go_of(release: threading.Event) -> None:
    late: list[str] = []
    done = threading.Event()

    def take(result: str) -> None:
        late.append(result)
        done.set()

    def work() -> str:
        release.wait(PATIENCE)
        return "a stream to be closed"

    with pytest.raises(DeadlineMissed):
        Deadline("test", 0.05).call(work, too_late=take)
    release.set()
    assert done.wait(PATIENCE)
    assert late == ["a stream to be closed"]


def test_more_callers_than_threads_wait_their_turn() -> None:
    deadline = Deadline("test", PATIENCE, threads=2)
    results: list[int] = []
    callers = [
        threading.Thread(target=lambda n=n: results.append(deadline.call(lambda: n)))
        for n in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(PATIENCE)
    assert sorted(results) == list(range(20))


def test_threads_that_cannot_be_started_are_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many failures as there may be threads, and then the system has some again."""
    deadline = Deadline("test", PATIENCE, threads=2)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _none_left)
        for _ in range(2):
            with pytest.raises(DeadlineMissed, match="no thread") as caught:
                deadline.call(lambda: 1)
            assert not caught.value.was_begun
    assert deadline.call(lambda: 1) == 1


def test_the_threads_that_there_are_do_where_no_more_can_be_started(
    release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadline = Deadline("test", PATIENCE, threads=2)
    with ThreadPoolExecutor() as pool:
        begun = threading.Event()
        first = pool.submit(deadline.call, lambda: (begun.set(), release.wait(PATIENCE))[1])
        assert begun.wait(PATIENCE)
        second = pool.submit(lambda: None)  # its own thread, while there are some
        second.result(PATIENCE)
        monkeypatch.setattr(threading.Thread, "start", _none_left)
        second = pool.submit(deadline.call, lambda: 2)
        release.set()
        assert first.result(PATIENCE) is True
        assert second.result(PATIENCE) == 2


def test_close_ends_the_threads() -> None:
    deadline = Deadline("to be closed", PATIENCE)
    deadline.call(lambda: None)
    mine = [thread for thread in threading.enumerate() if thread.name == "to be closed"]
    assert len(mine) == 1
    deadline.close()
    mine[0].join(PATIENCE)
    assert not mine[0].is_alive()
