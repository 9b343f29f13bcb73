# SPDX-License-Identifier: Apache-2.0
"""What plugins are asked is counted: by whoever asks, and as errors only what is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from glancekit.core.counters import LONGEST_MESSAGE, Counted, Counters, Observer, Tally
from glancekit.core.errors import BlobNotFound, StoreFailed
from glancekit.core.model.image import Location
from glancekit.core.stores import Store
from glancekit.testing.faults import FaultyStore
from glancekit.testing.store import new_id, stream


def of(counters: Counters, operation: str) -> Tally:
    (found,) = [tally for one, tally in counters.snapshot().items() if one.operation == operation]
    return found


def test_calls_errors_and_time() -> None:
    counters = Counters()
    calls = counters.of("group", "name", "use")
    calls.note("ask", 0.5)
    with pytest.raises(OSError, match="no"), calls.counted("ask"):
        raise OSError("no" * LONGEST_MESSAGE)
    with calls.counted("ask"):
        pass
    tally = counters.snapshot()[Counted("group", "name", "use", "ask")]
    assert (tally.calls, tally.errors) == (3, 1)
    assert tally.seconds >= 0.5
    assert tally.last_error.startswith("OSError: nono")
    assert len(tally.last_error) == LONGEST_MESSAGE


def test_an_answer_is_no_error() -> None:
    counters = Counters()
    with (
        pytest.raises(KeyError),
        counters.of("g", "n").counted("ask", is_answer=lambda error: isinstance(error, KeyError)),
    ):
        raise KeyError
    assert (of(counters, "ask").calls, of(counters, "ask").errors) == (1, 0)


class Kept(Observer):
    """What several processes were told."""

    def __init__(self, kept: dict[Counted, Tally] | None) -> None:
        self.kept = kept

    def observe(self, counted: Counted, seconds: float, *, failed: bool) -> None:
        """Know it already."""

    def totals(self) -> dict[Counted, Tally] | None:
        """Return it."""
        return self.kept


def test_totals_are_those_of_all_processes_where_these_are_kept() -> None:
    here, there = Counted("g", "n", "u", "ask"), Counted("g", "n", "u", "tell")
    counters = Counters(Kept({here: Tally(9, 3, 1.5), there: Tally(2, 0, 0.1)}))
    counters.note(here, 0.5, OSError("gone"))
    assert counters.totals() == {
        here: Tally(9, 3, 1.5, "OSError: gone"),
        there: Tally(2, 0, 0.1, ""),
    }
    assert counters.snapshot() == {here: Tally(1, 1, 0.5, "OSError: gone")}


def test_without_others_totals_are_its_own() -> None:
    for counters in (Counters(), Counters(Kept(None))):
        counters.note(Counted("g", "n", "u", "ask"), 0.5, None)
        assert counters.totals() == counters.snapshot() != {}


def test_none_is_lost_among_many_threads() -> None:
    counters = Counters()
    calls = counters.of("g", "n")

    def many() -> None:
        for _ in range(500):
            calls.note("ask", 0.001)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert of(counters, "ask").calls == 4000


def test_a_snapshot_stays_as_it_was() -> None:
    counters = Counters()
    counters.of("g", "n").note("ask")
    before = counters.snapshot()
    counters.of("g", "n").note("ask")
    assert [tally.calls for tally in before.values()] == [1]


def test_who_watches_hears_of_each_call() -> None:
    heard: list[tuple[str, bool]] = []

    class Watcher:
        def observe(self, counted: Counted, seconds: float, *, failed: bool) -> None:
            heard.append((counted.operation, failed))

    calls = Counters(Watcher()).of("g", "n")
    calls.note("one")
    calls.note("two", error="nonsense")
    assert heard == [("one", False), ("two", True)]


# -- stores


@pytest.fixture
def driver() -> Iterator[FaultyStore]:
    driver = FaultyStore(name="fast")
    yield driver
    driver.heal()


def test_a_store_counts_its_calls_and_no_chunks(driver: FaultyStore) -> None:
    counters = Counters()
    store = Store("fast", driver, kind="faulty", counters=counters)
    data = b"x" * (3 << 20)
    location = store.write(new_id(), stream(data), len(data))
    with store.open(location) as opened:
        assert len(b"".join(opened)) == len(data)
    counted = counters.snapshot()
    assert {one[:3] for one in counted} == {("glancekit.stores", "faulty", "store fast")}
    assert {one.operation: tally.calls for one, tally in counted.items()} == {
        "write": 1,
        "open": 1,
        "read": 1,
        "close": 1,
    }


def test_what_is_not_there_is_no_error_of_a_store(driver: FaultyStore) -> None:
    counters = Counters()
    store = Store("fast", driver, counters=counters)
    with pytest.raises(BlobNotFound):
        store.size(Location(url="memory://fast/none"))
    driver.fail("size", OSError("the disk is gone"))
    with pytest.raises(StoreFailed):
        store.size(Location(url="memory://fast/none"))
    tally = of(counters, "size")
    assert (tally.calls, tally.errors) == (2, 1)
    assert "the disk is gone" in tally.last_error
