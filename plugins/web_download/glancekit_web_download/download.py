# SPDX-License-Identifier: Apache-2.0
"""Bytes from a web server as an import's source: bounded in size and time, and held to a digest.

Going on after a break is the business of ``glancekit_web_reading``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glancekit_web_reading.failures import Broken, Changed, Unreachable, WebError

from glancekit.plugin import (
    ByteStream,
    Fetched,
    Invalid,
    LimitExceeded,
    SourceChanged,
    SourceStream,
    Unavailable,
)
from glancekit_web_download.digests import Check, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much may come, and how slowly. Bytes and seconds."""

    size: int
    time: float
    rate: float
    rate_time: float


class Download(SourceStream):
    """A source's bytes behind what was fetched before."""

    def __init__(
        self,
        source: ByteStream,
        *,
        shown: str,
        size: int | None,
        version: str | None,
        bounds: Bounds,
        expected: Digest | None,
        fetched: Fetched | None,
    ) -> None:
        """Begin.

        :param shown: what errors call the source.
        :raises LimitExceeded: when it says itself that it has more than may come.
        """
        self.size = size
        self.version = version
        self._source = source
        self._shown = shown
        self._pace = _Pace(bounds, shown)
        self._most = bounds.size
        self._count = fetched.size if fetched else 0
        _require_room(size or 0, bounds.size)
        self._check = Check(expected, fetched) if expected else None
        self._held = b""
        self._is_over = False

    def read(self, size: int = -1, /) -> bytes:
        """Return what has come; the last of it only once all was seen to be as expected.

        :raises Unavailable: when the server does not go on, or is too slow.
        :raises LimitExceeded: when more comes than may.
        :raises SourceChanged: when it is another content by now.
        :raises Invalid: when it is not what was expected, or no answer to what was asked.
        """
        if size < 0:
            return b"".join(self)
        if size == 0 or self._is_over:
            return b""
        check = self._check
        chunk = self._next(size) if check is None else self._next_checked(size, check)
        self._is_over = not chunk
        return chunk

    def close(self) -> None:
        """Let go of the connection."""
        self._is_over = True
        self._held = b""
        self._source.close()

    def _next_checked(self, size: int, check: Check) -> bytes:
        """Return what was held back, once it is known whether it was the last."""
        while len(self._held) <= size:
            chunk = self._next(size)
            if not chunk:
                check.finish(self._shown)
                taken, self._held = self._held, b""
                return taken
            check.feed(chunk)
            if self._held:
                taken, self._held = self._held, chunk
                return taken
            self._held = chunk
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _next(self, size: int) -> bytes:
        with self._pace.kept() as came:
            with as_imports_errors():
                chunk = self._source.read(size)
            came(len(chunk))
        self._count += len(chunk)
        _require_room(self._count, self._most)
        if not chunk and self.size is not None and self._count < self.size:
            raise Unavailable(f"{self._shown}: it ended after {self._count} of {self.size} bytes")
        return chunk


class Nothing(ByteStream):
    """What is left of a source that was fetched to its end."""

    def read(self, size: int = -1, /) -> bytes:
        """Return none."""
        return b""

    def close(self) -> None:
        """Do nothing."""


class _Pace:
    """How fast bytes come. Only the time counts in which they were waited for."""

    def __init__(self, bounds: Bounds, shown: str) -> None:
        self._bounds = bounds
        self._shown = shown
        self._end = time.monotonic() + bounds.time
        self._waited = 0.0
        self._came = 0

    @contextmanager
    def kept(self) -> Iterator[_Count]:
        """Watch one read."""
        begun = time.monotonic()
        count = _Count()
        yield count
        now = time.monotonic()
        self._waited += now - begun
        self._came += count.bytes
        if now > self._end:
            raise Unavailable(f"{self._shown}: it was not here within {self._bounds.time:g} s")
        if self._waited >= self._bounds.rate_time:
            if self._came < self._bounds.rate * self._waited:
                raise Unavailable(
                    f"{self._shown}: fewer than {self._bounds.rate:g} bytes came in each of "
                    f"{self._waited:.0f} s"
                )
            self._waited, self._came = 0.0, 0


class _Count:
    """The bytes of one read."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, count: int) -> None:
        self.bytes = count


@contextmanager
def as_imports_errors() -> Iterator[None]:
    """Turn what went wrong with a server into what it means for an import."""
    try:
        yield
    except Changed as error:
        raise SourceChanged(str(error)) from error
    except (Unreachable, Broken) as error:
        raise Unavailable(str(error)) from error
    except WebError as error:
        raise Invalid(str(error)) from error


def _require_room(size: int, most: int) -> None:
    if size > most:
        raise LimitExceeded(limit=most, asked=size, what="bytes of image data")
