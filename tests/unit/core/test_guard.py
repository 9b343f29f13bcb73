# SPDX-License-Identifier: Apache-2.0
"""A store that does not answer: who is kept from waiting for it, and how it is found to be back.

The breaker's own arithmetic is test_breaker's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from glancekit.core.breaker import Breaker, BreakerState
from glancekit.core.errors import (
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BlobUnavailable,
    BodyCutShort,
    CapabilityMissing,
    StoreDenied,
    StoreError,
    StoreFailed,
    StoreFull,
    StoreUnavailable,
)
from glancekit.core.guard import THREADS
from glancekit.core.model.image import Location
from glancekit.core.stores import Store
from glancekit.core.stream import ByteStream
from glancekit.core.turns import TurnOver, turn_that_ends
from glancekit.plugin import Remnant, StoreDriver
from glancekit.testing.faults import BrokenStream, FaultyStore
from glancekit.testing.store import sample, stream
from glancekit.testing.store_liars import AbleStore
from glancekit.testing.waiting import wait_until

DATA = sample(1000)
IMAGE = "11111111-2222-3333-4444-555555555555"
HERE = Location(url=f"memory://fast/{IMAGE}", size=len(DATA))
NOWHERE = Location(url="memory://fast/none")
PATIENCE = 20.0

Call = Callable[[Store], object]


@pytest.fixture
def driver() -> Iterator[FaultyStore]:
    driver = FaultyStore(name="fast")
    driver.blobs[IMAGE] = DATA
    yield driver
    driver.heal()


def mounted(driver: StoreDriver, *, pause: float = 60.0, deadline: float = 5.0) -> Store:
    breaker = Breaker(failures=2, pause=pause, longest_pause=max(pause, 0.02))
    return Store("fast", driver, deadline=deadline, breaker=breaker)


@pytest.fixture
def store(driver: FaultyStore) -> Iterator[Store]:
    """A store that is not asked again before the test is over."""
    store = mounted(driver)
    yield store
    driver.heal()
    store.close()


def fails(store: Store, call: Call) -> StoreError:
    with pytest.raises(StoreError) as failure:
        call(store)
    return failure.value


def read(store: Store) -> bytes:
    with store.open(HERE) as opened:
        return b"".join(opened)


def closes(store: Store) -> bool:
    """Close it, if a thread is free for that."""
    try:
        store.close()
    except StoreUnavailable:
        return False
    return True


CALLS: dict[str, Call] = {
    "open": lambda store: store.open(HERE),
    "open_range": lambda store: store.open_range(HERE, 1, 1),
    "size": lambda store: store.size(HERE),
    "write": lambda store: store.write("another", stream(DATA), None),
    "discard": lambda store: store.discard("another"),
    "delete": lambda store: store.delete(HERE),
    "local_path": lambda store: store.open_local(HERE),
    "usage": lambda store: store.usage(),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("name", CALLS)
def test_whatever_does_not_answer_opens_it_and_all_else_is_refused_at_once(
    store: Store, driver: FaultyStore, name: str
) -> None:
    driver.fail(name, StoreUnavailable("no route to host"))
    for _ in range(2):
        assert store.is_available
        fails(store, CALLS[name])
    assert not store.is_available
    assert store.status.state is BreakerState.OPEN
    assert store.status.reason == "no route to host"
    driver.calls.clear()
    for call in CALLS.values():
        refusal = fails(store, call)
        assert isinstance(refusal, StoreUnavailable)
        assert refusal.store == "fast"
        assert 1 <= refusal.retry_after <= 75
        assert "no route to host" in str(refusal)
    assert driver.calls == []


def test_what_hangs_opens_it_too(driver: FaultyStore) -> None:
    store = mounted(driver, deadline=0.05)
    driver.hang("open")
    for _ in range(2):
        assert isinstance(fails(store, CALLS["open"]), StoreUnavailable)
    assert not store.is_available
    driver.heal()
    store.close()


class LooksForLong(AbleStore):
    """Needs longer to look through all it has than one answer may take."""

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        for _ in range(5):
            time.sleep(0.6)
            yield None
        yield Remnant("left", None)


def test_what_looks_through_a_store_has_the_deadline_for_each_step() -> None:
    driver = LooksForLong(name="fast")
    store = mounted(driver, deadline=1.0)
    assert list(store.remnants(0)) == [Remnant("left", None)]
    assert store.is_available
    store.close()


def test_what_looks_through_a_store_ends_with_its_turn() -> None:
    store = mounted(AbleStore(name="fast"))
    store.driver.abandon(IMAGE)
    with turn_that_ends(lambda: True), pytest.raises(TurnOver):
        list(store.remnants(0))
    store.close()


def test_who_only_waited_for_a_turn_says_nothing_of_the_store(driver: FaultyStore) -> None:
    """A call has to wait while the few threads that there are for it are at others."""
    breaker = Breaker(failures=5, pause=60)
    store = Store("fast", driver, deadline=1.0, breaker=breaker)
    driver.hang("size")
    started = threading.Barrier(5)

    def ask() -> StoreError:
        started.wait()
        return fails(store, CALLS["size"])

    with ThreadPoolExecutor(5) as callers:
        asked = [callers.submit(ask) for _ in range(5)]
        assert all(isinstance(call.result(), StoreUnavailable) for call in asked)
    assert driver.calls == ["size"] * 4
    assert store.is_available
    assert "have not returned yet" in str(fails(store, CALLS["size"]))
    assert not store.is_available
    driver.heal()
    wait_until(lambda: closes(store))


@pytest.mark.parametrize(
    "error",
    [
        BlobNotFound(),
        BlobExists(),
        BlobInUse(),
        BlobUnavailable("that datastore is away"),
        StoreFull(),
        StoreDenied("key"),
        StoreFailed("odd"),
        CapabilityMissing(capability="SupportsX"),
        OSError("I/O error"),
        StoreUnavailable("the source's", store="another"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_silence_never_opens_it(
    store: Store, driver: FaultyStore, error: Exception
) -> None:
    driver.fail("write", error)
    for _ in range(5):
        fails(store, CALLS["write"])
    assert store.is_available


def test_a_caller_that_breaks_off_never_opens_it(store: Store) -> None:
    for _ in range(5):
        cut = BrokenStream(DATA, at=5, error=BodyCutShort(received=5, expected=9))
        with pytest.raises(BodyCutShort):
            store.write("another", cut, 9)
    assert store.is_available


@pytest.mark.parametrize("name", ["size", "discard", "local_path", "write"])
def test_an_answer_between_begins_the_row_anew(
    store: Store, driver: FaultyStore, name: str
) -> None:
    for number in range(4):
        driver.fail("check", StoreUnavailable("chance"))
        fails(store, CALLS["check"])
        if name == "write":
            store.write(str(number), stream(DATA), None)
        else:
            CALLS[name](store)
    assert store.is_available


def test_an_error_that_is_an_answer_begins_the_row_anew(store: Store, driver: FaultyStore) -> None:
    driver.fail("check", StoreUnavailable("chance"))
    for _ in range(4):
        fails(store, CALLS["check"])
        fails(store, lambda store: store.size(NOWHERE))
    assert store.is_available


def test_that_a_part_of_it_is_away_is_an_answer(store: Store, driver: FaultyStore) -> None:
    for name in ("open", "size", "delete", "discard"):
        driver.fail(name, BlobUnavailable("that datastore is away"))
    for _ in range(4):
        driver.fail("check", StoreUnavailable("chance"))
        fails(store, CALLS["check"])
        for name in ("open", "size", "delete", "discard"):
            assert isinstance(fails(store, CALLS[name]), StoreUnavailable)
    assert store.is_available


class Mute(FaultyStore):
    """Opens everything, and then does not give a byte."""

    def open(self, location: Location) -> ByteStream:
        return BrokenStream(b"", at=0, error=StoreUnavailable("read timed out"))


def test_a_store_that_opens_and_is_well_but_gives_no_byte_is_away() -> None:
    store = mounted(Mute())
    for _ in range(2):
        store.check()
        store.usage()
        assert isinstance(fails(store, read), StoreUnavailable)
    assert not store.is_available
    store.close()


def test_the_first_byte_is_an_answer(store: Store, driver: FaultyStore) -> None:
    driver.fail("check", StoreUnavailable("chance"))
    for _ in range(4):
        fails(store, CALLS["check"])
        assert read(store) == DATA
    assert store.is_available


def test_reads_that_go_on_are_left_alone(store: Store, driver: FaultyStore) -> None:
    opened = store.open(HERE)
    driver.fail("size", StoreUnavailable("away"))
    for _ in range(2):
        fails(store, CALLS["size"])
    assert not store.is_available
    assert b"".join(opened) == DATA


def test_it_is_asked_again_until_it_answers(driver: FaultyStore) -> None:
    store = mounted(driver, pause=0.01)
    driver.fail("size", StoreUnavailable("away"))
    driver.fail("check", StoreUnavailable("still away"))
    for _ in range(2):
        fails(store, CALLS["size"])
    wait_until(lambda: driver.calls.count("check") >= 3)
    assert not store.is_available
    assert store.status.reason in ("away", "still away")
    driver.heal()
    wait_until(lambda: store.is_available)
    assert store.size(HERE) == len(DATA)
    store.close()


def test_an_answer_that_is_a_refusal_is_one(driver: FaultyStore) -> None:
    """Who may not come in is told so by what he asks, not by silence."""
    store = mounted(driver, pause=0.01)
    driver.fail("size", StoreUnavailable("away"))
    driver.fail("check", StoreDenied("wrong key"))
    for _ in range(2):
        fails(store, CALLS["size"])
    wait_until(lambda: store.is_available)
    store.close()


def test_a_check_that_fails_for_any_other_reason_is_no_answer(driver: FaultyStore) -> None:
    store = mounted(driver, pause=0.01)
    driver.fail("size", StoreUnavailable("away"))
    driver.fail("check", ZeroDivisionError("inside"))
    for _ in range(2):
        fails(store, CALLS["size"])
    wait_until(lambda: driver.calls.count("check") >= 2)
    assert not store.is_available
    store.close()


def test_without_a_thread_for_it_the_next_call_sees_that_it_is_asked(
    driver: FaultyStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = mounted(driver, pause=0.01)
    store.check()  # the calls' own threads are there by now

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    driver.fail("size", StoreUnavailable("away"))
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(2):
            fails(store, CALLS["size"])
    assert "no thread to ask store fast" in caplog.text
    driver.heal()
    assert isinstance(fails(store, CALLS["size"]), StoreUnavailable)
    wait_until(lambda: store.is_available)
    store.close()


def test_nobody_asks_any_more_when_it_is_closed(driver: FaultyStore) -> None:
    store = mounted(driver, pause=0.01)
    driver.fail("size", StoreUnavailable("away"))
    driver.fail("check", StoreUnavailable("away"))
    for _ in range(2):
        fails(store, CALLS["size"])
    (probe,) = [thread for thread in threading.enumerate() if thread.name == "probe of fast"]
    store.close()
    probe.join(PATIENCE)
    assert not probe.is_alive()


class Web(StoreDriver):
    """Each of its locations is another server, one of which hangs until it is released."""

    api_level = 1

    def __init__(self) -> None:
        self.released = threading.Event()

    def open(self, location: Location) -> ByteStream:
        raise StoreUnavailable("this one server")

    def size(self, location: Location) -> int | None:
        if "hung.example" in location.url:
            self.released.wait(60)
        return len(DATA)

    def close(self) -> None:
        """Nothing is kept."""


def test_a_server_that_hangs_keeps_no_other_waiting() -> None:
    """Of a store that is many servers; the calls that hang there are more than one's may be."""
    web = Web()
    store = Store("web", web, deadline=60)
    hung = Location(url="http://hung.example/image", image_id=HERE.image_id)
    with ThreadPoolExecutor(THREADS + 2) as callers:
        hanging = [callers.submit(store.size, hung) for _ in range(THREADS + 1)]
        try:
            assert callers.submit(store.size, HERE).result(30) == len(DATA)
            assert not any(call.done() for call in hanging)
        finally:
            web.released.set()
    store.close()


def test_a_store_that_cannot_be_asked_how_it_is_has_no_breaker() -> None:
    store = mounted(Web())
    for _ in range(10):
        assert isinstance(fails(store, CALLS["open"]), StoreUnavailable)
    assert store.is_available
    assert store.status.is_closed
    assert store.size(HERE) == len(DATA)
