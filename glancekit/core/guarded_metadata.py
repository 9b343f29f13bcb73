# SPDX-License-Identifier: Apache-2.0
"""A metadata driver as the service holds it: counted, its faults named after it, and kept from
taking every thread when it hangs.

What it keeps is its own business. Units of work are for one thread, so a call that hangs cannot be
left behind: it hangs its own request. But when many do, further ones are refused at once, and
``/healthcheck`` still finds a thread to say so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from functools import cache, partial
from types import NoneType, TracebackType, UnionType
from typing import Any, ClassVar, cast, get_args, get_origin, get_type_hints

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.counters import Calls
from glancekit.core.deadline import Deadline, DeadlineMissed
from glancekit.core.errors import (
    GlancekitError,
    MetadataError,
    MetadataFailed,
    MetadataUnavailable,
)

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for a driver's answer to how its backend is, and for its closing."""

HANGING = 90.0
"""Seconds after which a call counts as one that hangs: longer than drivers' own time-outs."""

MANY = 8
"""Calls that hang at a time, from which on no further unit of work is begun."""

LOOK = 1.0
"""Seconds for which it holds what was found when the calls under way were looked at."""

AT_ONCE = 224
"""Units of work at a time: the threads of a process, without those kept for short requests."""

ROOM = 10.0
"""Seconds for which one more waits until others have ended."""

STANDSTILL = 5.0
"""Seconds in which none has ended, after which nobody waits for that any more."""


class GuardedMetadata(MetadataDriver):
    """The driver, and what is around each of its calls."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()

    def __init__(
        self, driver: MetadataDriver, calls: Calls, *, name: str, at_once: int = AT_ONCE
    ) -> None:
        """Take what does it, where its calls are counted, its name, and the most at a time."""
        self._driver = driver
        self._calls = calls
        self._name = name
        self._gate = _Gate(name, at_once)
        self._in_time = Deadline("metadata", PATIENCE)

    def start(self) -> None:
        """Get ready for work, as the driver does."""
        with self._calls.counted("start"):
            self._ask("start", self._driver.start)

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a new unit of work, to be entered at once.

        Entering it, and each call in it, raises:

        :raises MetadataUnavailable: when too many have not come back.
        :raises MetadataFailed: for what the driver raises that is no error of glancekit's, and for
            an answer that is not of the kind which the contract names.
        """
        unit = _Unit(self._driver, self._name, self._gate, self._calls, read_only=read_only)
        return cast(UnitOfWork, unit)

    def check(self) -> None:
        """Return when the backend answers.

        :raises MetadataUnavailable: when it does not within ``PATIENCE`` seconds.
        """
        with self._calls.counted("check"):
            try:
                self._in_time.call(partial(self._ask, "check", self._driver.check))
            except DeadlineMissed as error:
                raise MetadataUnavailable(f"plugin {self._name}: {error}") from error

    def close(self) -> None:
        """Let go of connections. The others are closed all the same when this one cannot be."""
        try:
            with self._calls.counted("close"):
                self._in_time.call(partial(self._ask, "close", self._driver.close))
        except (GlancekitError, DeadlineMissed) as error:
            log.error("plugin %s was not closed: %s", self._name, error)
        self._in_time.close()

    def _ask(self, operation: str, call: Callable[[], object]) -> None:
        _Asked(self._name).ask(operation, None, call)


def _is_no_fault(error: BaseException) -> bool:
    """Say whether it is the service that gave up, or a record that is not as it was thought."""
    return isinstance(error, GlancekitError) and not isinstance(error, MetadataError)


# -- calls under way


@dataclass(slots=True, eq=False)
class _Asked:
    """The driver on behalf of one unit of work, and since when it is at a call, if it is."""

    name: str
    since: float | None = None

    def ask(
        self,
        operation: str,
        kind: _Kind | None,
        call: Callable[..., Any],
        /,
        *given: Any,
        **named: Any,
    ) -> Any:
        """Return the driver's answer, its faults named after it."""
        self.since = time.monotonic()
        try:
            answer = call(*given, **named)
        except GlancekitError:
            raise
        except (Exception, SystemExit) as error:
            raise _fault(self.name, operation, error) from error
        finally:
            self.since = None
        if kind is None or kind(answer):
            return answer
        raise _nonsense(self.name, operation, answer)


class _Gate:
    """Lets units of work begin as long as those under way come back.

    In a rush, one more waits for its turn. Where none ends any more it is refused, for the threads
    that wait are wanted by those who ask what is wrong.
    """

    def __init__(self, name: str, at_once: int) -> None:
        self._name = name
        self._at_once = at_once
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._full_since = 0.0
        self._inside: set[_Asked] = set()
        self._looked_at = 0.0
        self._hanging = 0

    def enter(self, asked: _Asked) -> None:
        """Be inside, as soon as there is room.

        :raises MetadataUnavailable: when there is no hope of it.
        """
        with self._lock:
            if len(self._inside) >= self._at_once:
                self._wait_for_room()
            if len(self._inside) >= MANY:
                self._require_answers()
            self._inside.add(asked)
            if len(self._inside) == self._at_once:
                self._full_since = time.monotonic()

    def leave(self, asked: _Asked) -> None:
        """Be outside again."""
        with self._lock:
            self._inside.discard(asked)
            self._room.notify()

    def _wait_for_room(self) -> None:
        end = time.monotonic() + ROOM
        while len(self._inside) >= self._at_once:
            seconds = min(end, self._full_since + STANDSTILL) - time.monotonic()
            if seconds <= 0:
                reason = f"{len(self._inside)} units of work have not ended yet"
                raise MetadataUnavailable(f"plugin {self._name}: {reason}")
            self._room.wait(seconds)

    def _require_answers(self) -> None:
        if self._count_hanging() >= MANY:
            reason = f"{self._hanging} calls have not returned for {HANGING:g} s"
            raise MetadataUnavailable(f"plugin {self._name}: {reason}")

    def _count_hanging(self) -> int:
        now = time.monotonic()
        if now - self._looked_at > LOOK:
            self._looked_at = now
            begun = [asked.since for asked in self._inside]
            self._hanging = sum(since is not None and now - since > HANGING for since in begun)
        return self._hanging


# -- a unit of work


class _Unit:
    """A unit of work whose repositories are made when they are first asked for.

    It is counted from its beginning to its end, what the service does in it included.
    """

    def __init__(
        self, driver: MetadataDriver, name: str, gate: _Gate, calls: Calls, *, read_only: bool
    ) -> None:
        self._driver = driver
        self._gate = gate
        self._calls = calls
        self._asked = _Asked(name)
        self._read_only = read_only
        self._began = 0.0
        self._outer: Any = None
        self._work: Any = None

    def __enter__(self) -> _Unit:
        self._began = time.perf_counter()
        try:
            self._gate.enter(self._asked)
            self._work = self._asked.ask("unit_of_work", _is_unit, self._begin)
        except BaseException as error:
            self._end(error)
            raise
        return self

    def _begin(self) -> Any:
        outer = self._outer = self._driver.unit_of_work(read_only=self._read_only)
        if not _can_be_entered(outer):
            raise _nonsense(self._asked.name, "unit_of_work", outer)
        return outer.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave, failure = self._outer.__exit__, error
        try:
            self._asked.ask("end of the unit of work", None, leave, kind, error, traceback)
        except MetadataFailed as failed:
            # Some drivers let what was raised in the block through by raising it themselves.
            if failed.__cause__ is not error:
                failure = failed
                raise
        except BaseException as raised:
            failure = raised
            raise
        finally:
            self._end(failure)

    def _end(self, failure: BaseException | None) -> None:
        self._gate.leave(self._asked)
        operation = "read" if self._read_only else "write"
        error = None if failure is None or _is_no_fault(failure) else failure
        self._calls.note(operation, time.perf_counter() - self._began, error)

    def commit(self) -> None:
        """Make it all true, durably."""
        self._asked.ask("commit", None, self._work.commit)

    def __getattr__(self, name: str) -> Any:
        kind = _repositories().get(name)
        if kind is None:
            raise AttributeError(name)
        repository = kind(_part_of(self._work, name, self._asked.name, name), self._asked)
        setattr(self, name, repository)
        return repository


class _Repository:
    """A driver's repository. Its subclasses have the methods of each contract, guarded."""

    __slots__ = ("_asked", "_repository")

    def __init__(self, repository: object, asked: _Asked) -> None:
        self._repository = repository
        self._asked = asked


def _guarded(contract: type[Any], name: str) -> type[_Repository]:
    """Return the subclass for a contract."""
    methods = {
        method: _guarded_method(
            method,
            f"{name}.{method}",
            _kind(get_type_hints(getattr(contract, method))["return"]),
        )
        for method in contract.__abstractmethods__
    }
    return type(f"_{contract.__name__}", (_Repository,), {"__slots__": (), **methods})


def _guarded_method(method: str, operation: str, kind: _Kind | None) -> Callable[..., Any]:
    def ask(self: _Repository, /, *given: Any, **named: Any) -> Any:
        asked = self._asked
        call = _part_of(self._repository, method, asked.name, operation)
        return asked.ask(operation, kind, call, *given, **named)

    return ask


@cache
def _repositories() -> Mapping[str, type[_Repository]]:
    """Return what stands for each repository of a unit of work."""
    hints = get_type_hints(UnitOfWork)
    return {name: _guarded(contract, name) for name, contract in hints.items()}


def _part_of(whole: object, part: str, name: str, operation: str) -> Any:
    """Return what a driver must have."""
    try:
        return getattr(whole, part)
    except Exception as error:  # it may be made just now
        raise _fault(name, operation, error) from error


def _fault(name: str, operation: str, error: BaseException) -> MetadataFailed:
    reason = f"{type(error).__name__}: {error}"
    return MetadataFailed(reason, driver=name, operation=operation)


def _nonsense(name: str, operation: str, answer: object) -> MetadataFailed:
    reason = f"it returned {answer!r:.80}, a {type(answer).__name__}"
    return MetadataFailed(reason, driver=name, operation=operation)


# -- what answers have to be, as the contracts' annotations say

_Kind = Callable[[Any], bool]

_TEXT = (str, bytes)
"""Sequences that are no rows."""


def _kind(hint: Any) -> _Kind | None:
    if hint is NoneType:
        return None
    if isinstance(hint, UnionType):
        return partial(_is_a, tuple(get_args(hint)))
    if isinstance(hint, type) and is_dataclass(hint) and (rows := _rows_of(hint)):
        return partial(_is_page, hint, rows)
    origin = get_origin(hint)
    if origin is Sequence:
        return partial(_is_row_of, get_args(hint)[0])
    return partial(_is_a, origin or hint)


def _is_a(kind: Any, answer: object) -> bool:
    return isinstance(answer, kind)


def _is_row_of(kind: type[Any], answer: object) -> bool:
    if not isinstance(answer, Sequence) or isinstance(answer, _TEXT):
        return False
    return all(isinstance(one, kind) for one in answer)


def _rows_of(page: type[Any]) -> Mapping[str, type[Any]]:
    """Return which fields of a class of pages are rows, and of what."""
    hints = get_type_hints(page)
    many = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is tuple}
    return {name: kinds[0] for name, kinds in many.items() if kinds[-1] is Ellipsis}


def _is_page(page: type[Any], rows: Mapping[str, type[Any]], answer: object) -> bool:
    return isinstance(answer, page) and all(
        _is_row_of(kind, getattr(answer, name)) for name, kind in rows.items()
    )


def _can_be_entered(answer: object) -> bool:
    return hasattr(answer, "__enter__") and hasattr(answer, "__exit__")


def _is_unit(answer: object) -> bool:
    return hasattr(answer, "commit")
