# SPDX-License-Identifier: Apache-2.0
"""Drivers that are no stores, misbehaving in every way: an error of ours that names the plugin."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from glancekit.core.asking import Asked
from glancekit.core.counters import Counted, Counters
from glancekit.core.errors import Invalid, PluginError, Unauthenticated, Unavailable


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def asked(counters: Counters) -> Asked:
    return Asked("glancekit.auth", "odd", use="auth", counters=counters, seconds=0.3, threads=2)


def errors(counters: Counters) -> int:
    return counters.snapshot()[Counted("glancekit.auth", "odd", "auth", "ask")].errors


@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(3), OSError("gone")])
def test_what_it_raises_is_named_after_it(
    asked: Asked, counters: Counters, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(PluginError) as caught:
        asked.answer("ask", fail)
    assert "'odd' (glancekit.auth)" in str(caught.value)
    assert f"ask raised {type(error).__name__}" in str(caught.value)
    assert caught.value.__cause__ is error
    assert errors(counters) == 1


@pytest.mark.parametrize("nonsense", [None, object(), 7, b"text"])
def test_nonsense_is_an_error(asked: Asked, counters: Counters, nonsense: Any) -> None:
    with pytest.raises(PluginError, match="ask returned a"):
        asked.answer("ask", lambda: nonsense, kind=str)
    assert errors(counters) == 1


@pytest.mark.parametrize("error", [Invalid("no such field"), Unauthenticated()])
def test_an_answer_of_ours_is_passed_on(
    asked: Asked, counters: Counters, error: BaseException
) -> None:
    def refuse() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        asked.answer("ask", refuse)
    assert caught.value is error
    assert errors(counters) == 0


def test_what_hangs_is_unavailable_and_after_a_while_at_once(
    asked: Asked, counters: Counters
) -> None:
    released = threading.Event()
    for _ in range(3):  # two threads are lost, the third call does not wait
        with pytest.raises(Unavailable, match="waits in vain for its plugin 'odd'"):
            asked.answer("ask", lambda: released.wait(60))
    assert errors(counters) == 3
    released.set()


def test_without_a_deadline_it_may_take_its_time() -> None:
    assert Asked("g", "slow").answer("ask", lambda: 7, kind=int) == 7
