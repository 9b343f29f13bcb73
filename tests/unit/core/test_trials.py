# SPDX-License-Identifier: Apache-2.0
"""Running strangers' code under a deadline."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from glancekit.core.trials import Overdue, attempt_all


def test_gives_results_in_the_order_of_the_jobs() -> None:
    second_ran = threading.Event()

    def first() -> str:
        second_ran.wait()
        return "first"

    def second() -> str:
        second_ran.set()
        return "second"

    assert attempt_all([first, second], deadline=30) == ["first", "second"]


def test_one_that_hangs_costs_the_deadline_and_the_others_nothing() -> None:
    forever = threading.Event()
    jobs: list[Callable[[], object]] = [forever.wait, lambda: "done"]
    hung, done = attempt_all(jobs, deadline=0.2)
    forever.set()
    assert isinstance(hung, Overdue)
    assert done == "done"


def test_errors_are_handed_back_even_an_exit() -> None:
    error = KeyError("x")

    def fail() -> None:
        raise error

    raised, exited = attempt_all([fail, sys.exit], deadline=30)
    assert raised is error
    assert isinstance(exited, SystemExit)


def test_a_timeout_of_the_job_is_its_own_error() -> None:
    def fail() -> None:
        raise TimeoutError("the job's")

    (raised,) = attempt_all([fail], deadline=30)
    assert isinstance(raised, TimeoutError)
    assert str(raised) == "the job's"
