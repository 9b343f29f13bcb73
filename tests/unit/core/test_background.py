# SPDX-License-Identifier: Apache-2.0
"""Threads for work that outlives its request: so many at a time, and an end."""

from __future__ import annotations

import logging
import threading

import pytest

from glancekit.core.background import Background


def test_so_many_at_a_time() -> None:
    background, release = Background(at_once=1), threading.Event()
    done = threading.Event()
    assert background.start("first", lambda: release.wait(30))
    assert not background.start("second", done.set)
    release.set()
    while not background.start("third", done.set):
        pass
    assert done.wait(30)
    background.stop()


def test_work_sees_that_it_shall_stop() -> None:
    background, seen = Background(), threading.Event()

    def work() -> None:
        background.stopping.wait(30)
        seen.set()

    assert background.start("work", work)
    background.stop()
    assert seen.is_set()
    assert not background.start("more", seen.clear)


def test_what_fails_is_told_and_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    background = Background(at_once=1)

    def fail() -> None:
        raise ValueError("of no use")

    with caplog.at_level(logging.ERROR):
        assert background.start("work of mine", fail)
        while not background.start("next", lambda: None):
            pass
        background.stop()
    assert "work of mine failed" in caplog.text
