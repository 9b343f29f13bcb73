# SPDX-License-Identifier: Apache-2.0
"""Every method of import methods and import steps, misbehaving in every way, in an import from its
beginning to its end: it fails with a clean reason, leaves nothing, is counted and named, and the
next one goes well. Verifying a signature is a step like any other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glancekit.core.contracts.importing import (
    ImportMethod,
    ImportStep,
    SupportsDescription,
    SupportsForecast,
)
from glancekit.core.errors import PluginError, Unavailable
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.core.model.task import UNFINISHED, Task, TaskStatus
from glancekit.core.stream import IteratorStream
from glancekit.flows.engine import Board, Worker
from glancekit.flows.options import FlowSettings
from glancekit.services import imports
from glancekit.services.importing import plugins
from glancekit.services.importing.records import LOCK
from glancekit.services.importing.work import Work
from glancekit.services.imports import ImportRequest
from glancekit.services.staging import Staging
from glancekit.services.world import Importing, World
from glancekit.testing.waiting import wait_until

STALL = 2.0
PATIENCE = 60.0
METHOD, STEP = "odd-download", "odd_step"

released = threading.Event()

Proper = Callable[[], Any]


def raises(proper: Proper) -> Any:
    raise KeyError("region")


def exits(proper: Proper) -> Any:
    raise SystemExit(3)


def hangs(proper: Proper) -> Any:
    released.wait(60)
    raise KeyError("too late")


def returns_nonsense(proper: Proper) -> Any:
    return object()


def leaks_threads(proper: Proper) -> Any:
    threading.Thread(target=released.wait, args=(60,), daemon=True).start()
    return proper()


class Odd:
    """Does as it should, but for what a test lets it do."""

    def __init__(self) -> None:
        self.ways: dict[str, Callable[[Proper], Any]] = {}

    def asked(self, what: str, proper: Proper) -> Any:
        way = self.ways.get(what)
        return proper() if way is None else way(proper)


class Source(IteratorStream):
    """What comes of a source."""

    def __init__(self, odd: Odd) -> None:
        super().__init__(iter([b"data"]))
        self._odd = odd
        self.size: Any = odd.asked("size", lambda: 4)
        self.version: Any = odd.asked("version", lambda: None)

    def read(self, size: int = -1, /) -> bytes:
        chunk: bytes = self._odd.asked("read", lambda: super(Source, self).read(size))
        return chunk

    def close(self) -> None:
        self._odd.asked("stream close", super().close)


class Method(ImportMethod, SupportsDescription):
    """A method whose calls are a test's."""

    api_level = 1

    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def validate(self, arguments: Any) -> None:
        """Take all."""
        self._odd.asked("validate", lambda: None)

    def open(self, image: Any, arguments: Any, *, caller: Any, fetched: Any) -> Any:
        """Give four bytes."""
        return self._odd.asked("open", lambda: Source(self._odd))

    def describe(self, image: Image, arguments: Any, *, caller: Any) -> Any:
        """Add nothing."""
        return self._odd.asked("describe", lambda: image)


class Step(ImportStep, SupportsForecast):
    """A step whose calls are a test's."""

    api_level = 1

    def __init__(self, odd: Odd) -> None:
        self._odd = odd

    def applies_to(self, staged: Any) -> Any:
        """Always."""
        return self._odd.asked("applies_to", lambda: True)

    def execute(self, staged: Any, progress: Any) -> Any:
        """Write the file anew."""
        made = staged.path.with_name("made")
        made.write_bytes(staged.path.read_bytes())
        return self._odd.asked("execute", lambda: replace(staged, path=made))

    def revert(self, staged: Any) -> None:
        """Remove it."""
        self._odd.asked("revert", lambda: staged.path.with_name("made").unlink(missing_ok=True))

    def will_replace(self, image: Any) -> Any:
        """Say that it does not."""
        return self._odd.asked("will_replace", lambda: False)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Odd]:
    monkeypatch.setattr(plugins, "PATIENCE", STALL)
    released.clear()
    yield Odd()
    released.set()


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> FlowSettings:
    return FlowSettings(folder=tmp_path_factory.mktemp("flows"))


@pytest.fixture
def importing(world: World, odd: Odd, flows: FlowSettings) -> Iterator[World]:
    """A world that imports in this process, by the odd method and with the odd step."""
    board = Board(flows)
    importing = Importing(
        methods={METHOD: Method(odd)}, steps={STEP: Step(odd)}, announce=board.post
    )
    odd_world = replace(world, importing=importing)
    work = Work(odd_world, max_tries=3, stall_time=STALL)
    worker = Worker(flows, work, holder=world.lease.holder)
    worker.start()
    yield odd_world
    released.set()
    assert worker.stop(PATIENCE)
    worker.close()
    board.close()


def imported(world: World, caller: Identity, image: Image) -> tuple[Image, Task]:
    """Import, and return what came of it."""
    imports.begin(world, caller, image.id, ImportRequest(method=METHOD))
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with world.metadata.unit_of_work(read_only=True) as work:
            now, task = work.images.get(image.id), work.tasks.of_image(image.id)[-1]
        if task.status not in UNFINISHED and LOCK not in now.properties:
            return now, task
        time.sleep(0.02)
    raise AssertionError("the import does not end")


def errors(world: World, operation: str) -> int:
    tallies = world.counters.snapshot().items()
    return sum(tally.errors for key, tally in tallies if key.operation == operation)


COUNTED_AS = {"size": "open", "version": "open", "stream close": "read"}
IN_THE_WORKER = [
    *("describe", "open", "size", "version", "read", "stream close"),
    *("will_replace", "applies_to", "execute"),
]
FAILS = [raises, exits, hangs, returns_nonsense]


@pytest.mark.parametrize("way", FAILS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("what", IN_THE_WORKER)
def test_the_import_fails_and_the_next_one_does_not(
    odd: Odd,
    importing: World,
    member: Identity,
    queued: Image,
    caplog: pytest.LogCaptureFixture,
    what: str,
    way: Callable[..., Any],
) -> None:
    if (what, way) == ("stream close", returns_nonsense):
        pytest.skip("what a close returns is not looked at")
    if (what, way) == ("stream close", hangs):
        pytest.skip("as a read that hangs: the import is given up, the thread left behind")
    odd.ways[what] = way
    image, task = imported(importing, member, queued)
    assert (image.status, task.status) == ("queued", TaskStatus.FAILURE)
    assert task.message
    assert "region" not in task.message
    assert (f"has not moved for {STALL:g} s" in task.message) == (way is hangs)
    wait_until(lambda: METHOD in caplog.text or STEP in caplog.text)  # a moment after the records
    assert METHOD in task.message or STEP in task.message
    if what != "read" or way is not hangs:
        assert errors(importing, COUNTED_AS.get(what, what)) == 1
    assert not Path(Staging(importing.staging).of(queued.id)).exists()
    released.set()
    odd.ways.clear()
    image, task = imported(importing, member, image)
    assert (image.status, task.status) == ("active", TaskStatus.SUCCESS), task.message


@pytest.mark.parametrize("way", FAILS[:3], ids=lambda way: way.__name__)
def test_what_is_asked_before_anything_is_written_down(
    odd: Odd, importing: World, member: Identity, queued: Image, way: Callable[..., Any]
) -> None:
    odd.ways["validate"] = way
    refused = Unavailable if way is hangs else PluginError
    with pytest.raises(refused, match=METHOD):
        imported(importing, member, queued)
    assert errors(importing, "validate") == 1
    odd.ways.clear()
    assert imported(importing, member, queued)[0].status == "active"


@pytest.mark.parametrize("way", FAILS[:3], ids=lambda way: way.__name__)
def test_an_undoing_that_misbehaves_is_passed_over(
    odd: Odd,
    importing: World,
    member: Identity,
    queued: Image,
    caplog: pytest.LogCaptureFixture,
    way: Callable[..., Any],
) -> None:
    odd.ways |= {"execute": raises, "revert": way}
    image, task = imported(importing, member, queued)
    assert (image.status, task.status) == ("queued", TaskStatus.FAILURE)
    wait_until(lambda: f"step {STEP} could not be undone" in caplog.text)
    assert errors(importing, "revert") == 1
    assert not Path(Staging(importing.staging).of(queued.id)).exists()


MADE = {
    "a file that is not there": lambda staged: replace(staged, path=staged.path.with_name("no")),
    "a file elsewhere": lambda staged: replace(staged, path=Path("/etc/hostname")),
    "another image": lambda staged: replace(staged, image=None),
    "a name for a file": lambda staged: replace(staged, path=str(staged.path)),
    "digests that are none": lambda staged: replace(staged, digests=7),
}


@pytest.mark.parametrize("what", MADE)
def test_a_step_that_returns_what_cannot_be(
    odd: Odd,
    importing: World,
    member: Identity,
    queued: Image,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    odd.ways["execute"] = lambda proper: MADE[what](proper())
    image, task = imported(importing, member, queued)
    assert (image.status, task.status) == ("queued", TaskStatus.FAILURE)
    wait_until(lambda: f"'{STEP}'" in caplog.text)
    assert errors(importing, "execute") == 1


def test_threads_that_are_left_behind(
    odd: Odd, importing: World, member: Identity, queued: Image
) -> None:
    everything = [*IN_THE_WORKER, "validate", "revert"]
    odd.ways |= dict.fromkeys(everything, leaks_threads)
    image, task = imported(importing, member, queued)
    assert (image.status, task.status) == ("active", TaskStatus.SUCCESS), task.message
    assert not [tally for tally in importing.counters.snapshot().values() if tally.errors]


def test_a_step_that_moves_is_let_go_on(
    odd: Odd, importing: World, member: Identity, queued: Image
) -> None:
    """However long it takes: what counts is the time without progress."""
    step = importing.importing.steps[STEP]
    proper = step.execute

    def slow(staged: Any, progress: Any) -> Any:
        for done in range(10):
            time.sleep(STALL / 4)
            progress(done, 10)
        return proper(staged, progress)

    step.execute = slow  # type: ignore[method-assign]
    image, task = imported(importing, member, queued)
    assert (image.status, task.status) == ("active", TaskStatus.SUCCESS), task.message


def test_no_method_of_the_contracts_is_left_out() -> None:
    contracts = (ImportMethod, SupportsDescription, ImportStep, SupportsForecast)
    methods = {
        name
        for contract in contracts
        for name in contract.__abstractmethods__  # type: ignore[attr-defined]
    }
    assert methods == {"validate", "revert"} | (
        set(IN_THE_WORKER) - {"size", "version", "read", "stream close"}
    )
