# SPDX-License-Identifier: Apache-2.0
"""Every method of every store contract, misbehaving in every way: whoever calls gets an error that
names the store, in time, it is counted, and other calls go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from glancekit.core.breaker import Breaker
from glancekit.core.contracts.store import CAPABILITIES, Remnant, StoreDriver
from glancekit.core.counters import Counters, Tally
from glancekit.core.errors import StoreError, StoreFailed
from glancekit.core.model.image import Location
from glancekit.core.stores import Store
from glancekit.testing.store import new_id, stream
from glancekit.testing.store_liars import AbleStore
from glancekit.testing.waiting import wait_until

IMAGE = "11111111-2222-3333-4444-555555555555"
HERE = Location(url=f"memory://odd/{IMAGE}", size=9)
DEADLINE, SHORT = 30.0, 0.3
"""Seconds: nothing but what hangs takes the one, and only where it does it has the other."""

NOT_ASKED = {"clone"}
"""Methods of contracts that the service does not call yet."""

ELSEWHERE = {"acting_for"}
"""Methods that return a driver, which is asked like any other; test_stores has them."""


def closed(file: BinaryIO | None) -> BinaryIO:
    assert file is not None
    file.close()
    return file


CALLS: dict[str, Callable[[Store, Path], object]] = {
    "open": lambda store, _: store.open(HERE),
    "open_range": lambda store, _: store.open_range(HERE, 1, 2),
    "size": lambda store, _: store.size(HERE),
    "write": lambda store, _: store.write(new_id(), stream(b"new"), 3),
    "discard": lambda store, _: store.discard(IMAGE),
    "delete": lambda store, _: store.delete(HERE),
    "local_path": lambda store, _: closed(store.open_local(HERE)),
    "direct_url": lambda store, _: store.direct_url(HERE),
    "usage": lambda store, _: store.usage(),
    "details": lambda store, _: store.details(),
    "places": lambda store, _: store.places(),
    "begin": lambda store, _: store.begin(),
    "check": lambda store, _: store.check(),
    "remnants": lambda store, _: list(store.remnants(0)),
    "sweep": lambda store, _: store.sweep(Remnant("x", None)),
    "contents": lambda store, _: list(store.contents()),
    "blob": lambda store, _: store.blob(HERE),
    "adopt": lambda store, path: store.adopt(path, new_id(), 3),
    "grant": lambda store, _: store.grant(HERE, ["p"], public=False),
    "close": lambda store, _: store.close(),
}
WITHOUT_AN_ANSWER = {"discard", "delete", "begin", "check", "sweep", "close", "grant"}
"""What they return is not looked at, so that no nonsense can come of it."""

MOVES_BYTES = {"write"}
"""What has no deadline: it takes as long as the bytes do, and hangs its own request only."""


class Odd(AbleStore):
    """A store that does as it should, but for one method."""

    def __init__(self) -> None:
        super().__init__(name="odd")
        self.blobs[IMAGE] = b"some data"
        self.released = threading.Event()

    def let(self, method: str, way: Callable[..., Any]) -> None:
        setattr(self, method, way)


@pytest.fixture
def driver() -> Iterator[Odd]:
    driver = Odd()
    yield driver
    driver.released.set()
    driver._folder.cleanup()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def store(driver: Odd, counters: Counters) -> Store:
    return mounted(driver, counters, DEADLINE)


def mounted(driver: Odd, counters: Counters, deadline: float) -> Store:
    breaker = Breaker(failures=0)
    return Store("odd", driver, kind="odd", deadline=deadline, breaker=breaker, counters=counters)


def is_asked(store: Store) -> bool:
    """Say whether it can be, in the short time that it has: on a busy machine not each time."""
    with suppress(StoreError):
        return store.size(HERE) == 9
    return False


def tally(counters: Counters, operation: str) -> Tally:
    return next(one for key, one in counters.snapshot().items() if key.operation == operation)


def test_no_method_of_a_contract_is_left_out() -> None:
    methods = {
        name
        for contract in (StoreDriver, *CAPABILITIES)
        for name in contract.__abstractmethods__  # type: ignore[attr-defined]
    }
    assert methods == CALLS.keys() | NOT_ASKED | ELSEWHERE


@pytest.mark.parametrize("error", [KeyError("region"), SystemExit(3), RecursionError("deep")])
@pytest.mark.parametrize("method", CALLS)
def test_it_raises(
    driver: Odd,
    store: Store,
    counters: Counters,
    tmp_path: Path,
    method: str,
    error: BaseException,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    driver.let(method, fail)
    with pytest.raises(StoreError) as caught:
        CALLS[method](store, tmp_path / "file")
    assert (caught.value.store, caught.value.operation) == ("odd", method)
    assert type(error).__name__ in str(caught.value.detail)
    assert tally(counters, method).errors == 1
    assert type(error).__name__ in tally(counters, method).last_error


@pytest.mark.parametrize(
    "nonsense", [object(), "nonsense", -1, b"", {1}], ids=lambda it: str(type(it))
)
@pytest.mark.parametrize("method", sorted(CALLS.keys() - WITHOUT_AN_ANSWER))
def test_it_returns_nonsense(
    driver: Odd, store: Store, counters: Counters, tmp_path: Path, method: str, nonsense: Any
) -> None:
    if (method, nonsense) == ("direct_url", "nonsense"):
        pytest.skip("what a URL is, only the client finds out")
    driver.let(method, lambda *_, **__: nonsense)
    if method in ("remnants", "contents") and nonsense == b"":
        assert CALLS[method](store, tmp_path) == []
        return
    with pytest.raises(StoreError) as caught:
        CALLS[method](store, tmp_path / "file")
    assert (caught.value.store, caught.value.operation) == ("odd", method)
    assert tally(counters, method).errors == 1


@pytest.mark.parametrize("method", sorted(CALLS.keys() - MOVES_BYTES))
def test_it_hangs(driver: Odd, counters: Counters, tmp_path: Path, method: str) -> None:
    store = mounted(driver, counters, SHORT)
    driver.let(method, lambda *_, **__: driver.released.wait(60))
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"no answer within {SHORT:g} s|does not answer"):
        CALLS[method](store, tmp_path / "file")
    assert time.monotonic() - began < 30
    assert tally(counters, method).errors == 1
    if method not in ("size", "close"):
        wait_until(lambda: is_asked(store))  # other calls go on


def test_a_write_that_hangs_hangs_nobody_else(driver: Odd, store: Store) -> None:
    driver.let("write", lambda *_, **__: driver.released.wait(60))
    refused: list[BaseException] = []

    def write() -> None:
        try:
            store.write(new_id(), stream(b"new"), 3)
        except StoreError as error:
            refused.append(error)

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    for _ in range(10):
        assert store.size(HERE) == 9
    driver.released.set()
    writing.join(30)
    assert len(refused) == 1, "True is no location"


@pytest.mark.parametrize("told", [{"folder": Path("/x")}, {"free": float("nan")}, {("a", "b"): 1}])
def test_what_it_tells_of_itself_is_no_json(driver: Odd, store: Store, told: Any) -> None:
    """Clients are shown it as it is."""
    driver.let("details", lambda: told)
    with pytest.raises(StoreFailed, match="JSON"):
        store.details()


@pytest.mark.parametrize("method", CALLS)
def test_it_leaves_threads_behind(driver: Odd, store: Store, tmp_path: Path, method: str) -> None:
    """They cost what a thread costs; the answer comes, and the service goes on and ends."""
    (tmp_path / "file").write_bytes(b"new")
    proper = getattr(driver, method)

    def leak(*given: Any, **named: Any) -> Any:
        threading.Thread(target=driver.released.wait, args=(60,), daemon=True).start()
        return proper(*given, **named)

    driver.let(method, leak)
    CALLS[method](store, tmp_path / "file")
    if method != "close":
        assert store.details() is not None
        store.close()


CHUNKS = {
    "nothing": lambda size: None,
    "text": lambda size: "x" * size,
    "more than was asked for": lambda size: b"x" * (size + 1),
    "an error": lambda size: 1 // 0,
    "the end too early": lambda size: b"",
}


@pytest.mark.parametrize("way", CHUNKS)
def test_a_stream_misbehaves(driver: Odd, store: Store, counters: Counters, way: str) -> None:
    class Stream:
        def read(self, size: int = -1, /) -> Any:
            return CHUNKS[way](size)

        def close(self) -> None:
            pass

    driver.let("open", lambda location: Stream())
    with store.open(HERE) as opened, pytest.raises(StoreError) as caught:
        opened.read(100)
    assert (caught.value.store, caught.value.operation) == ("odd", "read")
    assert tally(counters, "read").errors == 1
