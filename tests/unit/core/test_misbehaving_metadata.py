# SPDX-License-Identifier: Apache-2.0
"""Every method of the metadata contract, misbehaving in every way: whoever calls gets an error
that names the driver and the call, it is counted, and other calls go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from glancekit.core import guarded_metadata
from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.counters import Counters, Tally
from glancekit.core.errors import ImageNotFound, MetadataFailed, MetadataUnavailable
from glancekit.core.guarded_metadata import MANY, GuardedMetadata
from glancekit.core.model.listing import Page
from glancekit.core.model.metadef import NamespacePage
from glancekit.testing.memory_metadata import MemoryMetadata

REPOSITORIES = get_type_hints(UnitOfWork)
METHODS = sorted(
    f"{name}.{method}"
    for name, contract in REPOSITORIES.items()
    for method in contract.__abstractmethods__
)
ANSWERS = {
    name: get_type_hints(getattr(REPOSITORIES[name.split(".")[0]], name.split(".")[1]))["return"]
    for name in METHODS
}
WITH_AN_ANSWER = [name for name, kind in ANSWERS.items() if kind is not type(None)]


class OddUnit:
    """A unit of work that has what a test lets it have."""

    def __init__(self, ways: dict[str, Callable[..., Any]]) -> None:
        self._ways = ways
        for name in REPOSITORIES:
            mine = {key: way for key, way in ways.items() if key.startswith(f"{name}.")}
            methods = {key.partition(".")[2]: way for key, way in mine.items()}
            setattr(self, name, SimpleNamespace(**methods))

    def __enter__(self) -> Any:
        return self._ways.get("__enter__", lambda: self)()

    def __exit__(self, *_: object) -> Any:
        return self._ways.get("__exit__", lambda: None)()

    def commit(self) -> None:
        self._ways.get("commit", lambda: None)()


class OddDriver(MemoryMetadata):
    """A driver that does as it should, but for what a test lets it do."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: dict[str, Callable[..., Any]] = {}
        self.released = threading.Event()

    def unit_of_work(self, *, read_only: bool = False) -> Any:
        return self.ways.get("unit_of_work", lambda: OddUnit(self.ways))()

    def start(self) -> None:
        self.ways.get("start", lambda: None)()

    def check(self) -> None:
        self.ways.get("check", lambda: None)()

    def close(self) -> None:
        self.ways.get("close", lambda: None)()


@pytest.fixture
def driver() -> Iterator[OddDriver]:
    driver = OddDriver()
    yield driver
    driver.released.set()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def metadata(driver: OddDriver, counters: Counters) -> GuardedMetadata:
    calls = counters.of("glancekit.metadata", "odd", "metadata")
    return GuardedMetadata(driver, calls, name="odd", at_once=20)


def tally(counters: Counters, operation: str) -> Tally:
    return next(one for key, one in counters.snapshot().items() if key.operation == operation)


def call(metadata: MetadataDriver, name: str) -> Any:
    """Call a method of a repository, or of what is around these."""
    if name in ("start", "check", "close"):
        return getattr(metadata, name)()
    with metadata.unit_of_work() as work:
        if name == "commit":
            return work.commit()
        if "." not in name:  # beginning it, or ending it, is the call
            return None
        repository, method = name.split(".")
        return getattr(getattr(work, repository), method)()


AROUND = ["start", "unit_of_work", "__enter__", "__exit__", "commit", "check"]
TOLD_AS = {"__enter__": "unit_of_work", "__exit__": "end of the unit of work"}
COUNTED_AS = {"start": "start", "check": "check"}


@pytest.mark.parametrize("error", [KeyError("region"), SystemExit(3), RecursionError("deep")])
@pytest.mark.parametrize("name", [*METHODS, *AROUND])
def test_it_raises(
    driver: OddDriver,
    metadata: GuardedMetadata,
    counters: Counters,
    name: str,
    error: BaseException,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    driver.ways[name] = fail
    with pytest.raises(MetadataFailed) as caught:
        call(metadata, name)
    assert (caught.value.driver, caught.value.operation) == ("odd", TOLD_AS.get(name, name))
    assert type(error).__name__ in str(caught.value)
    counted = tally(counters, COUNTED_AS.get(name, "write"))
    assert counted.errors == 1
    assert type(error).__name__ in counted.last_error
    driver.ways.clear()
    call(metadata, "commit")


@pytest.mark.parametrize("nonsense", [object(), "nonsense", None], ids=lambda it: str(type(it)))
@pytest.mark.parametrize("name", [*WITH_AN_ANSWER, "unit_of_work", "__enter__"])
def test_it_returns_nonsense(
    driver: OddDriver, metadata: GuardedMetadata, counters: Counters, name: str, nonsense: Any
) -> None:
    if name == "marks.get" and type(nonsense) is not object:
        pytest.skip("a mark is any text, or none")
    driver.ways[name] = lambda *_, **__: nonsense
    with pytest.raises(MetadataFailed) as caught:
        call(metadata, name)
    assert (caught.value.driver, caught.value.operation) == ("odd", TOLD_AS.get(name, name))
    assert tally(counters, "write").errors == 1


@pytest.mark.parametrize(
    "name", [name for name in WITH_AN_ANSWER if "Sequence" in str(ANSWERS[name])]
)
def test_it_returns_rows_of_nonsense(
    driver: OddDriver, metadata: GuardedMetadata, name: str
) -> None:
    driver.ways[name] = lambda *_, **__: [object()]
    if "Mapping" in str(ANSWERS[name]):
        driver.ways[name] = lambda *_, **__: []
    with pytest.raises(MetadataFailed, match="it returned"):
        call(metadata, name)


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("images.find", Page((object(),), is_full=False)),  # type: ignore[arg-type]
        ("metadefs.find", NamespacePage(None, is_full=False)),  # type: ignore[arg-type]
    ],
    ids=["images", "metadefs"],
)
def test_it_returns_pages_of_nonsense(
    driver: OddDriver, metadata: GuardedMetadata, name: str, page: Any
) -> None:
    driver.ways[name] = lambda *_, **__: page
    with pytest.raises(MetadataFailed, match="it returned"):
        call(metadata, name)


@pytest.mark.parametrize("name", [*METHODS, *AROUND])
def test_it_leaves_threads_behind(
    driver: OddDriver, metadata: GuardedMetadata, counters: Counters, name: str
) -> None:
    def leak(*_: Any, **__: Any) -> Any:
        threading.Thread(target=driver.released.wait, args=(60,), daemon=True).start()
        raise ImageNotFound(image_id="i")  # any answer of a driver's

    driver.ways[name] = leak
    with pytest.raises(ImageNotFound):
        call(metadata, name)
    driver.ways.clear()
    call(metadata, "commit")
    if "." in name or name == "commit":
        assert tally(counters, "write").errors == 0, "an answer is no fault"


@pytest.mark.parametrize("name", ["check", "close"])
def test_it_hangs_where_there_is_a_deadline(
    driver: OddDriver, counters: Counters, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(guarded_metadata, "PATIENCE", 0.2)
    calls = counters.of("glancekit.metadata", "odd", "metadata")
    metadata = GuardedMetadata(driver, calls, name="odd")
    driver.ways[name] = lambda: driver.released.wait(60)
    if name == "check":
        with pytest.raises(MetadataUnavailable, match="plugin odd: no answer within"):
            metadata.check()
    else:
        metadata.close()
    assert tally(counters, name).errors == 1


def test_a_close_that_raises_is_told_and_passed_over(
    driver: OddDriver, metadata: GuardedMetadata, caplog: pytest.LogCaptureFixture
) -> None:
    driver.ways["close"] = lambda: 1 // 0
    metadata.close()
    assert "plugin odd was not closed" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def hang(driver: OddDriver, metadata: GuardedMetadata, name: str, times: int) -> list[Any]:
    """Have so many threads hang in a call; return them when all do."""
    inside = threading.Semaphore(0)

    def way(*_: Any, **__: Any) -> None:
        inside.release()
        driver.released.wait(60)

    def begin() -> None:
        with pytest.raises(MetadataFailed):  # None is no image
            call(metadata, name)

    driver.ways[name] = way
    threads = [threading.Thread(target=begin, daemon=True) for _ in range(times)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    return threads


def test_a_call_that_hangs_hangs_nobody_else(driver: OddDriver, metadata: GuardedMetadata) -> None:
    (thread,) = hang(driver, metadata, "images.get", 1)
    for _ in range(10):
        call(metadata, "commit")
    driver.released.set()
    thread.join(30)
    assert not thread.is_alive()


def test_where_many_hang_further_ones_are_refused_until_they_are_back(
    driver: OddDriver, metadata: GuardedMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_metadata, "HANGING", 0.2)
    monkeypatch.setattr(guarded_metadata, "LOOK", 0.0)
    threads = hang(driver, metadata, "images.get", MANY)
    threading.Event().wait(0.4)
    with pytest.raises(MetadataUnavailable, match=f"plugin odd: {MANY} calls have not returned"):
        call(metadata, "commit")
    driver.released.set()
    for thread in threads:
        thread.join(30)
    call(metadata, "commit")


def test_there_are_never_more_than_so_many(
    driver: OddDriver, metadata: GuardedMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded_metadata, "STANDSTILL", 0.2)
    threads = hang(driver, metadata, "images.get", 20)
    for _ in range(2):
        with pytest.raises(MetadataUnavailable, match="20 units of work have not ended yet"):
            call(metadata, "commit")
    driver.released.set()
    for thread in threads:
        thread.join(30)
    call(metadata, "commit")


def test_nobody_waits_where_none_has_ended_for_long(
    driver: OddDriver, metadata: GuardedMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = hang(driver, metadata, "images.get", 20)
    monkeypatch.setattr(guarded_metadata, "STANDSTILL", 0.0)
    began = time.monotonic()
    with pytest.raises(MetadataUnavailable):
        call(metadata, "commit")
    assert time.monotonic() - began < guarded_metadata.ROOM / 2
    driver.released.set()
    for thread in threads:
        thread.join(30)


def test_one_more_waits_for_its_turn(
    driver: OddDriver, metadata: GuardedMetadata, counters: Counters
) -> None:
    threads = hang(driver, metadata, "images.get", 20)
    waiting = threading.Thread(target=call, args=(metadata, "commit"))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    driver.released.set()
    waiting.join(30)
    assert not waiting.is_alive()
    for thread in threads:
        thread.join(30)
    assert tally(counters, "write").errors == len(threads)  # those that hung, and got no image
    for thread in threads:
        thread.join(30)


def test_what_the_service_raises_in_a_unit_is_its_own(metadata: GuardedMetadata) -> None:
    with pytest.raises(KeyError, match="ours"), metadata.unit_of_work():
        raise KeyError("ours")


def test_a_driver_may_let_it_through_by_raising_it(
    driver: OddDriver, metadata: GuardedMetadata
) -> None:
    class Raising(OddUnit):
        def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
            if error is not None:
                raise error

    driver.ways["unit_of_work"] = lambda: Raising({})
    with pytest.raises(KeyError, match="ours"), metadata.unit_of_work():
        raise KeyError("ours")


def test_what_lacks_a_repository_is_named(driver: OddDriver, metadata: GuardedMetadata) -> None:
    driver.ways["__enter__"] = lambda: SimpleNamespace(commit=lambda: None)
    with pytest.raises(MetadataFailed, match=r"'odd' failed in 'images'.*AttributeError"):
        call(metadata, "images.get")


def test_no_method_of_the_contract_is_left_out() -> None:
    around = {"start", "unit_of_work", "check", "close"}
    assert around == MetadataDriver.__abstractmethods__  # type: ignore[attr-defined]
    assert len(METHODS) > 60
