# SPDX-License-Identifier: Apache-2.0
"""A breaker by its clock: when it opens, when it may be tried, and what it makes of late news."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from glancekit.core.breaker import GROWTH, JITTER, Breaker, BreakerState

PAUSE, LONGEST, LIMIT = 4.0, 20.0, 3


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    """One whose pauses do not vary."""
    return Breaker(
        failures=LIMIT, pause=PAUSE, longest_pause=LONGEST, clock=clock, chance=lambda: 0.5
    )


def open_it(breaker: Breaker) -> None:
    while not breaker.failed("no answer"):
        assert breaker.is_closed


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    assert [breaker.failed("no answer") for _ in range(LIMIT)] == [False, False, True]
    status = breaker.status()
    assert (status.state, status.reason, status.retry_after) == ("open", "no answer", PAUSE)
    assert not breaker.is_closed


def test_a_success_between_begins_the_row_anew(breaker: Breaker) -> None:
    for _ in range(4):
        assert not breaker.failed("chance")
        assert not breaker.failed("chance")
        breaker.succeeded()
    assert breaker.is_closed


def test_one_that_is_switched_off_never_opens(clock: Clock) -> None:
    breaker = Breaker(failures=0, clock=clock)
    assert not any(breaker.failed("no answer") for _ in range(100))
    assert breaker.is_closed


def test_nobody_tries_before_its_time_and_then_only_one(breaker: Breaker, clock: Clock) -> None:
    assert not breaker.begin_probe()
    open_it(breaker)
    clock.now += PAUSE - 0.1
    assert not breaker.begin_probe()
    clock.now += 0.1
    assert breaker.begin_probe()
    assert breaker.status().state is BreakerState.HALF_OPEN
    assert not breaker.is_closed
    assert not breaker.begin_probe()


def test_a_probe_that_goes_well_closes_it(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now += PAUSE
    breaker.begin_probe()
    breaker.end_probe(None)
    assert breaker.status().is_closed
    assert breaker.status().retry_after == 0


def test_each_probe_that_fails_doubles_the_pause_up_to_the_longest(
    breaker: Breaker, clock: Clock
) -> None:
    open_it(breaker)
    for pause in (PAUSE, PAUSE * GROWTH, PAUSE * GROWTH**2, LONGEST, LONGEST):
        assert breaker.status().retry_after == pause
        clock.now += pause
        assert breaker.begin_probe()
        breaker.end_probe("still away")
        assert breaker.status().reason == "still away"


def test_the_longest_pause_stays_the_longest_for_ever(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    for _ in range(3000):
        clock.now += LONGEST
        assert breaker.begin_probe()
        breaker.end_probe("still away")
    assert breaker.status().retry_after == LONGEST


def test_a_probe_that_was_too_kind_is_found_out_by_one_failure(
    breaker: Breaker, clock: Clock
) -> None:
    open_it(breaker)
    clock.now += PAUSE
    breaker.begin_probe()
    breaker.end_probe(None)
    assert breaker.failed("no answer")
    assert breaker.status().retry_after == PAUSE * GROWTH


def test_a_success_of_the_work_makes_all_as_it_was(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    clock.now += PAUSE
    breaker.begin_probe()
    breaker.end_probe(None)
    breaker.succeeded()
    assert [breaker.failed("no answer") for _ in range(LIMIT)] == [False, False, True]
    assert breaker.status().retry_after == PAUSE


def test_late_news_of_calls_from_before_changes_nothing(breaker: Breaker, clock: Clock) -> None:
    open_it(breaker)
    breaker.succeeded()
    assert not breaker.failed("one more")
    breaker.end_probe(None)  # nobody probes
    assert breaker.status().state is BreakerState.OPEN
    clock.now += PAUSE
    breaker.begin_probe()
    breaker.succeeded()
    assert not breaker.failed("one more")
    assert breaker.status().state is BreakerState.HALF_OPEN


@pytest.mark.parametrize(("chance", "factor"), [(0.0, 1 - JITTER), (1.0, 1 + JITTER)])
def test_pauses_vary(clock: Clock, chance: float, factor: float) -> None:
    breaker = Breaker(failures=1, pause=PAUSE, clock=clock, chance=lambda: chance)
    open_it(breaker)
    assert breaker.status().retry_after == pytest.approx(PAUSE * factor)


@dataclass
class Model:
    """What a breaker should be, said as simply as can be."""

    state: BreakerState = BreakerState.CLOSED
    row: int = 0
    opened: int = 0
    due: float = field(default=0.0)


class BreakerMachine(RuleBasedStateMachine):
    """Any order of events, beside a model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.chance = 0.5
        self.breaker = Breaker(
            failures=LIMIT,
            pause=PAUSE,
            longest_pause=LONGEST,
            clock=self.clock,
            chance=lambda: self.chance,
        )
        self.model = Model()

    @rule(seconds=st.floats(0, 2 * LONGEST), chance=st.floats(0, 0.999))
    def time_goes_by(self, seconds: float, chance: float) -> None:
        self.clock.now += seconds
        self.chance = chance

    @rule()
    def a_call_fails(self) -> None:
        model = self.model
        is_counted = model.state is BreakerState.CLOSED
        model.row += is_counted
        opens = is_counted and model.row >= LIMIT
        assert self.breaker.failed("no answer") is opens
        if opens:
            self.opens()

    @rule()
    def a_call_succeeds(self) -> None:
        self.breaker.succeeded()
        if self.model.state is BreakerState.CLOSED:
            self.model.row = self.model.opened = 0

    @rule()
    def somebody_would_probe(self) -> None:
        model = self.model
        is_time = model.state is BreakerState.OPEN and self.clock.now >= model.due
        assert self.breaker.begin_probe() is is_time
        if is_time:
            model.state = BreakerState.HALF_OPEN

    @precondition(lambda self: self.model.state is BreakerState.HALF_OPEN)
    @rule(well=st.booleans())
    def the_probe_ends(self, well: bool) -> None:
        self.breaker.end_probe(None if well else "still away")
        if well:
            self.model.state, self.model.row = BreakerState.CLOSED, LIMIT - 1
        else:
            self.opens()

    def opens(self) -> None:
        model = self.model
        model.state = BreakerState.OPEN
        model.opened += 1
        pause = min(PAUSE * GROWTH ** (model.opened - 1), LONGEST)
        model.due = self.clock.now + pause * (1 + JITTER * (2 * self.chance - 1))

    @invariant()
    def it_is_what_it_should_be(self) -> None:
        status = self.breaker.status()
        assert status.state is self.model.state
        assert status.is_closed is self.breaker.is_closed
        assert 0 <= status.retry_after <= LONGEST * (1 + JITTER)
        if status.is_closed:
            assert status.retry_after == 0


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
