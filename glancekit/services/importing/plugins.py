# SPDX-License-Identifier: Apache-2.0
"""An import method, or a step, as imports ask it: counted, its faults named after it, given up
when it moves no more.

What it is asked, and when, is the business of ``imports``, ``fetching`` and ``steps``.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar

from glancekit.core.asking import Asked
from glancekit.core.contracts.importing import SourceStream, StagedImage
from glancekit.core.drivers import IMPORT_METHODS
from glancekit.core.errors import GlancekitError, PluginError, Unavailable
from glancekit.core.model.image import Image
from glancekit.core.stream import ByteStream
from glancekit.services.importing.pulse import Pulse
from glancekit.services.world import World

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for an answer that the caller of the API waits for."""

LOOK = 1.0
"""Seconds between looks at how far work is."""


class ImportPlugin:
    """One import method or step of a world. Errors name it, and ``Unavailable`` says it hangs."""

    def __init__(self, world: World, group: str, name: str) -> None:
        self._world = world
        self._group = group
        self._name = name
        self._what = f"import {'method' if group == IMPORT_METHODS else 'step'} {name}"

    def answer_soon(self, operation: str, work: Callable[[], T]) -> T:
        """Return what it answers to somebody who waits."""
        with closing(self._asked(PATIENCE)) as asked:
            return asked.answer(operation, work)

    def answer(
        self,
        operation: str,
        work: Callable[[], T],
        stall_time: float,
        *,
        kind: type[Any] | UnionType | None = None,
        pulse: Pulse | None = None,
    ) -> T:
        """Return what it answers, however long that takes, as long as it moves."""
        watch = partial(watched, work, self._what, stall_time, pulse)
        return self._asked().answer(operation, watch, kind=kind)

    def execute(
        self,
        step: Callable[[StagedImage, Pulse], StagedImage],
        before: StagedImage,
        pulse: Pulse,
        stall_time: float,
    ) -> StagedImage:
        """Have a step do its work, and return what came of it, which must be an image's."""

        def work() -> StagedImage:
            made = step(before, pulse)
            _require_staged(made, before)
            return made

        return self.answer("execute", work, stall_time, pulse=pulse)

    def opened(self, work: Callable[[], SourceStream], stall_time: float) -> SourceStream:
        """Open a source. What its stream does wrong is counted and named as well."""

        def open_source() -> SourceStream:
            source = work()
            _require_source(source)
            return source

        source = self.answer("open", open_source, stall_time)
        return _Source(source, self._read_failed, self._read_began)

    def _asked(self, seconds: float = 0.0) -> Asked:
        counters = self._world.counters
        return Asked(self._group, self._name, use=self._what, counters=counters, seconds=seconds)

    def _read_began(self, seconds: float) -> None:
        """Count a stream whose first bytes have come, so many seconds after they were wanted."""
        self._world.counters.of(self._group, self._name, self._what).note("read", seconds)

    def _read_failed(self, reason: str) -> PluginError:
        failed = PluginError(group=self._group, name=self._name, reason=f"read {reason}")
        self._world.counters.of(self._group, self._name, self._what).note("read", error=failed)
        return failed


class _Source(SourceStream):
    """A source's stream whose faults have a name, and whose first bytes are counted as a call."""

    def __init__(
        self,
        source: SourceStream,
        failed: Callable[[str], PluginError],
        began: Callable[[float], None],
    ) -> None:
        self._source = source
        self._failed = failed
        self._began = began
        self._wanted_since: float | None = None
        self.size = source.size
        self.version = source.version

    def read(self, size: int = -1, /) -> bytes:
        if self._wanted_since is not None:
            return self._take(size)
        self._wanted_since = time.perf_counter()
        chunk = self._take(size)
        self._began(time.perf_counter() - self._wanted_since)
        return chunk

    def _take(self, size: int) -> bytes:
        try:
            chunk = self._source.read(size)
        except GlancekitError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failed(f"raised {type(error).__name__}: {error}") from error
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise self._failed(f"returned a {type(chunk).__name__}")
        if 0 <= size < len(chunk):
            raise self._failed(f"returned {len(chunk)} bytes where {size} were asked for")
        return chunk

    def close(self) -> None:
        try:
            self._source.close()
        except GlancekitError:
            raise
        except (Exception, SystemExit) as error:
            raise self._failed(f"raised {type(error).__name__} at its close: {error}") from error


def watched(work: Callable[[], T], what: str, stall_time: float, pulse: Pulse | None = None) -> T:
    """Return what the work returns, or raise what it raises.

    It runs in a thread of its own, which is left behind when it is given up.

    :param pulse: tells that it moves; without one it has ``stall_time`` seconds in all.
    :raises Unavailable: when it has not moved for so many seconds.
    """
    future: Future[T] = Future()
    context = contextvars.copy_context()
    began = time.monotonic()

    def run() -> None:
        try:
            future.set_result(context.run(work))
        except BaseException as error:  # carried to the caller, whose it is
            future.set_exception(error)

    threading.Thread(target=run, name=what, daemon=True).start()
    while True:
        try:
            return future.result(min(LOOK, stall_time))
        except FutureTimeout:
            if future.done():  # it has ended in this very moment, or raised such an error itself
                return future.result()
        moved_at = began if pulse is None else max(began, pulse.moved_at)
        if time.monotonic() - moved_at > stall_time:
            raise Unavailable(
                f"The {what} has not moved for {stall_time:g} s and was given up; the operator of "
                "the service can find out why"
            )


def _require_source(source: object) -> None:
    if not isinstance(source, ByteStream):
        raise TypeError(f"it returned a {type(source).__name__}, which is no stream")
    size, version = getattr(source, "size", "nothing"), getattr(source, "version", b"")
    if not (size is None or (isinstance(size, int) and size >= 0)):
        raise TypeError(f"the size of what it returned is {size!r:.80}")
    if not isinstance(version, str | None):
        raise TypeError(f"the version of what it returned is {version!r:.80}")


def _require_staged(made: object, before: StagedImage) -> None:
    if not isinstance(made, StagedImage):
        raise TypeError(f"it returned a {type(made).__name__}, which is no StagedImage")
    if not isinstance(made.image, Image) or made.image.id != before.image.id:
        raise TypeError("it returned another image, or none")
    if not isinstance(made.path, Path) or made.path.parent != before.path.parent:
        raise TypeError(
            f"its file is {made.path!r:.200}, which is not beside the one it was given"
        )
    if not made.path.is_file():
        raise TypeError(f"it says that its file is {made.path.name}, which is not there")
    if not isinstance(made.digests, Mapping):
        raise TypeError(f"its digests are a {type(made.digests).__name__}")
