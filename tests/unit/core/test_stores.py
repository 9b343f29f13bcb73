# SPDX-License-Identifier: Apache-2.0
"""What a store adds to its driver, the same for all of them."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from glancekit.core.contracts.store import (
    StoreDriver,
    SupportsAcl,
    SupportsDelete,
    SupportsRange,
    SupportsWrite,
    Usage,
)
from glancekit.core.errors import (
    BlobNotFound,
    BodyCutShort,
    CapabilityMissing,
    StoreFailed,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)
from glancekit.core.model.image import Location
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream
from glancekit.testing.faults import BrokenStream, FaultyStore
from glancekit.testing.store import sample, stream

DATA = sample(2 * CHUNK_SIZE + 9)
IMAGE = "11111111-2222-3333-4444-555555555555"
MISSING = Location(url="memory://faulty/none")


class ReadOnly(StoreDriver):
    """The least that a driver can be."""

    api_level = 1

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.opened: list[io.BytesIO] = []

    def open(self, location: Location) -> ByteStream:
        self.opened.append(io.BytesIO(self.data))
        return FileStream(self.opened[-1])

    def size(self, location: Location) -> int | None:
        return None

    def close(self) -> None:
        """Nothing is kept."""


@pytest.fixture
def driver() -> Iterator[FaultyStore]:
    driver = FaultyStore()
    yield driver
    driver.heal()


@pytest.fixture
def store(driver: FaultyStore) -> Iterator[Store]:
    store = Store("fast", driver)
    yield store
    driver.heal()
    store.close()


def test_a_location_is_stamped(store: Store) -> None:
    location = store.write(IMAGE, stream(DATA), len(DATA))
    assert (location.store, location.image_id, location.size) == ("fast", IMAGE, len(DATA))


def test_capabilities_are_those_of_the_driver(store: Store) -> None:
    assert store.supports(SupportsRange)
    assert not store.supports(SupportsAcl)
    store.require(SupportsRange)
    with pytest.raises(CapabilityMissing) as missing:
        store.require(SupportsAcl)
    assert (missing.value.store, missing.value.capability) == ("fast", "SupportsAcl")


def test_capabilities_that_the_driver_lacks_are_refused_or_done_without() -> None:
    store = Store("web", ReadOnly())
    assert store.usage() == Usage(total=None, free=None)
    assert store.open_local(MISSING) is None
    store.check()
    for deed, capability in (
        (lambda: store.delete(MISSING), SupportsDelete),
        (lambda: store.discard(IMAGE), SupportsWrite),
    ):
        with pytest.raises(CapabilityMissing) as missing:
            deed()
        assert missing.value.capability == capability.__name__


@pytest.mark.parametrize(
    "store", [Store("web", ReadOnly()), Store("kept", FaultyStore(), read_only=True)]
)
def test_nothing_is_added_where_nothing_may_be(store: Store) -> None:
    source = stream(DATA)
    assert not store.is_writable
    with pytest.raises(StoreReadOnly):
        store.write(IMAGE, source, len(DATA))
    assert source.read(1) == DATA[:1], "the source was not touched"


def test_a_read_only_store_can_be_cleaned_up(driver: FaultyStore) -> None:
    Store("kept", driver, read_only=True).discard(IMAGE)
    assert driver.calls == ["discard"]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (CHUNK_SIZE + 3, 10), (0, len(DATA)), (9, 0)]
)
def test_ranges_work_with_every_driver(offset: int, length: int) -> None:
    plain, able = ReadOnly(), FaultyStore()
    able.blobs["1"] = DATA
    for store in (Store("web", plain), Store("fast", able)):
        location = Location(url="memory://x/1", size=len(DATA))
        with store.open_range(location, offset, length) as opened:
            assert b"".join(opened) == DATA[offset : offset + length]
    assert all(file.closed for file in plain.opened)


def test_a_driver_that_ends_before_the_offset_has_failed_and_is_closed() -> None:
    driver = ReadOnly(b"short")
    with pytest.raises(StoreFailed):
        Store("web", driver).open_range(Location(url="http://x"), 100, 1)
    assert driver.opened[0].closed


@pytest.mark.parametrize("known", [len(DATA), len(DATA) - 1, len(DATA) + 1, None])
def test_a_stream_is_as_long_as_the_image_or_raises(known: int | None) -> None:
    opened = Store("web", ReadOnly()).open(Location(url="http://x", size=known))
    if known == len(DATA) + 1:
        with pytest.raises(StoreFailed) as failed:
            b"".join(opened)
        assert (failed.value.store, failed.value.operation) == ("web", "read")
    else:
        assert b"".join(opened) == DATA[:known]


def test_an_error_says_where_it_came_from(store: Store) -> None:
    with pytest.raises(BlobNotFound) as missing:
        store.open(MISSING)
    assert (missing.value.store, missing.value.operation) == ("fast", "open")
    assert "'fast'" in str(missing.value)


def test_what_a_driver_does_not_translate_is_a_failure_of_the_store(
    store: Store, driver: FaultyStore
) -> None:
    driver.fail("size", ZeroDivisionError("inside"))
    with pytest.raises(StoreFailed) as failed:
        store.size(MISSING)
    assert (failed.value.store, failed.value.operation) == ("fast", "size")
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_a_stream_that_breaks_is_a_failure_of_the_store() -> None:
    class Breaking(ReadOnly):
        def open(self, location: Location) -> ByteStream:
            return BrokenStream(DATA, at=10, error=OSError("disk"))

    with Store("web", Breaking()).open(MISSING) as opened:
        assert opened.read(100) == DATA[:10]
        with pytest.raises(StoreFailed):
            opened.read(100)


def test_the_source_s_errors_are_not_the_store_s(store: Store) -> None:
    error = BodyCutShort(received=1, expected=2)
    with pytest.raises(BodyCutShort) as cut:
        store.write(IMAGE, BrokenStream(DATA, at=5, error=error), None)
    assert cut.value is error
    assert "store" not in cut.value.facts


CALLS = {
    "open": lambda store: store.open(MISSING),
    "open_range": lambda store: store.open_range(MISSING, 0, 1),
    "size": lambda store: store.size(MISSING),
    "delete": lambda store: store.delete(MISSING),
    "discard": lambda store: store.discard(IMAGE),
    "usage": lambda store: store.usage(),
    "check": lambda store: store.check(),
    "local_path": lambda store: store.open_local(MISSING),
    "close": lambda store: store.close(),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_hangs_is_unavailability(driver: FaultyStore, call: str) -> None:
    store = Store("dead", driver, deadline=0.05)
    driver.hang(call)
    with pytest.raises(StoreUnavailable) as unavailable:
        CALLS[call](store)
    assert (unavailable.value.store, unavailable.value.operation) == ("dead", call)


def test_a_store_without_deadline_waits(driver: FaultyStore) -> None:
    store = Store("patient", driver, deadline=0)
    driver.slow("check", 0.05)
    store.check()


def test_stores_are_found_by_id(store: Store) -> None:
    other = Store("slow", FaultyStore())
    stores = Stores([store, other], "slow")
    assert stores.default is other
    assert stores.get("fast") is store
    assert list(stores) == list(stores.all) == list(stores.by_id.values()) == [store, other]
    with pytest.raises(StoreNotFound) as missing:
        stores.get("none")
    assert missing.value.known == "fast, slow"


def test_copies_are_in_the_order_in_which_they_are_read() -> None:
    weights = {"light": (0, False), "heavy": (5, False), "drained": (9, True), "other": (0, False)}
    stores = Stores(
        [
            Store(name, FaultyStore(name=name), weight=weight, draining=draining)
            for name, (weight, draining) in weights.items()
        ],
        "light",
    )
    copies = [Location(url="x://", store=name) for name in ("gone", "drained", "other", *weights)]
    ordered = [copy.store for copy in stores.by_preference(copies)]
    assert ordered == ["heavy", "other", "light", "other", "drained", "drained", "gone"]


def test_all_stores_are_closed_though_one_fails() -> None:
    first, second = FaultyStore(), FaultyStore()
    first.fail("close", OSError("stuck"))
    with pytest.raises(StoreFailed):
        Stores([Store("a", first), Store("b", second)], "a").close()
    assert second.calls == ["close"]
