# SPDX-License-Identifier: Apache-2.0
"""Things that go wrong when told to: streams that break or trickle, stores that fail or hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from glancekit.plugin import Blob, ByteStream, Location, SupportsLocalFile, Usage
from glancekit.testing.memory_store import MemoryStore


class BrokenStream(ByteStream):
    """Gives the first ``at`` bytes of some data and then raises (or ends, without an error)."""

    def __init__(self, data: bytes, *, at: int, error: BaseException | None = None) -> None:
        self._data = data[:at]
        self._error = error
        self._position = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, or raise where the stream breaks."""
        end = len(self._data) if size < 0 else self._position + size
        chunk = self._data[self._position : end]
        self._position += len(chunk)
        if not chunk and self._error is not None:
            raise self._error
        return chunk

    def close(self) -> None:
        """Do nothing."""


class TrickleStream(ByteStream):
    """Gives a few bytes at a time however many are asked for, with a pause before each."""

    def __init__(self, data: bytes, *, piece: int, pause: float = 0.0) -> None:
        self._data = memoryview(data)
        self._piece = piece
        self._pause = pause

    def read(self, size: int = -1, /) -> bytes:
        """Return the next few bytes (all that are left for a negative size)."""
        if self._pause:
            time.sleep(self._pause)
        count = len(self._data) if size < 0 else min(size, self._piece)
        taken, self._data = bytes(self._data[:count]), self._data[count:]
        return taken

    def close(self) -> None:
        """Do nothing."""


class WatchedStream(ByteStream):
    """Calls ``before`` with the number of bytes given so far, ahead of every read."""

    def __init__(self, source: ByteStream, before: Callable[[int], object]) -> None:
        self._source = source
        self._before = before
        self._given = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return what the source gives."""
        self._before(self._given)
        chunk = self._source.read(size)
        self._given += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the source."""
        self._source.close()


class FaultyStore(MemoryStore, SupportsLocalFile):
    """A memory store whose calls, by name, fail, hang or are slow until it is healed."""

    def __init__(self, options: Any = None, *, name: str = "faulty") -> None:
        super().__init__(options, name=name)
        self.calls: list[str] = []
        self._faults: dict[str, Callable[[], object]] = {}
        self._healed = threading.Event()

    def fail(self, call: str, error: BaseException) -> None:
        """Make a call raise."""

        def fault() -> None:
            raise error

        self._faults[call] = fault

    def hang(self, call: str) -> None:
        """Make a call wait until ``heal``; then it does its work."""
        self._faults[call] = self._healed.wait

    def slow(self, call: str, seconds: float) -> None:
        """Make a call take longer."""
        self._faults[call] = lambda: time.sleep(seconds)

    def heal(self) -> None:
        """Let all calls work again, those that hang included."""
        self._faults.clear()
        self._healed.set()

    def open(self, location: Location) -> ByteStream:
        """As the memory store's."""
        self._meet("open")
        return super().open(location)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """As the memory store's."""
        self._meet("open_range")
        return super().open_range(location, offset, length)

    def size(self, location: Location) -> int | None:
        """As the memory store's."""
        self._meet("size")
        return super().size(location)

    def local_path(self, location: Location) -> Path | None:
        """Return None: nothing is a file here."""
        self._meet("local_path")
        self._blob(location)
        return None

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """As the memory store's; the fault comes before the first byte is taken."""
        self._meet("write")
        return super().write(image_id, source, size)

    def discard(self, image_id: str) -> None:
        """As the memory store's."""
        self._meet("discard")
        super().discard(image_id)

    def delete(self, location: Location) -> None:
        """As the memory store's."""
        self._meet("delete")
        super().delete(location)

    def contents(self) -> Iterator[Blob]:
        """As the memory store's; the fault comes before each."""
        for blob in super().contents():
            self._meet("contents")
            yield blob

    def blob(self, location: Location) -> Blob:
        """As the memory store's."""
        self._meet("blob")
        return super().blob(location)

    def usage(self) -> Usage:
        """As the memory store's."""
        self._meet("usage")
        return super().usage()

    def check(self) -> None:
        """As the memory store's."""
        self._meet("check")
        super().check()

    def close(self) -> None:
        """As the memory store's."""
        self._meet("close")
        super().close()

    def _meet(self, call: str) -> None:
        self.calls.append(call)
        fault = self._faults.get(call)
        if fault is not None:
            fault()
