# SPDX-License-Identifier: Apache-2.0
"""Bytes from a web server as a stream that goes on where it broke off, or says that it cannot.

What comes after a break is of the same content, or it is an error. Which URLs may be asked is not
its business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from glancekit.plugin import CHUNK_SIZE, ByteStream
from glancekit_web_reading.answers import Answer, Version
from glancekit_web_reading.connections import receiving
from glancekit_web_reading.failures import Broken, Changed, Unreachable, Unusable, WebError
from glancekit_web_reading.fetching import NONE, Fetcher

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a read is taken up again, three times as many each time."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes of a URL, up to but not including ``end`` (None: as many as there are)."""

    url: str
    start: int = 0
    end: int | None = None
    size: int | None = None
    """How many bytes the whole was registered with."""
    of: Version | None = None
    """The content that they must be of, where an earlier read has begun with it."""
    is_fixed: bool = False
    """The URL has one content for ever, whether the server names its version or not."""
    headers: Mapping[str, str] = field(default_factory=lambda: NONE, repr=False)
    """Headers for the server of the URL alone. They may be credentials."""


class WebStream(ByteStream):
    """The wanted bytes of one content of a URL."""

    def __init__(self, fetcher: Fetcher, wanted: Wanted, *, retries: int) -> None:
        """Ask for the first time, so that what is wrong is told before there is a stream."""
        self._fetcher = fetcher
        self._wanted = wanted
        self._retries = retries
        self._next = wanted.start
        self._failures = 0
        self._last_failure = wanted.start
        self._is_at_end = False
        self._answer: Answer | None = None
        self._elsewhere: str | None = None
        self._begin(self._ask(wanted.start, wanted.of))

    @property
    def total(self) -> int | None:
        """How many bytes the whole has, as far as the server says."""
        return self._first.total

    @property
    def version(self) -> Version:
        """What the content is known by."""
        return self._first.version

    def read(self, size: int = -1, /) -> bytes:
        """Return what has come, and wait where nothing has.

        :raises Unreachable: when it broke off too often, or cannot be taken up again.
        :raises Unusable: when the content is another one by now.
        """
        if size < 0:
            return b"".join(self)
        if size == 0 or self._is_at_end:
            return b""
        while True:
            try:
                return self._receive(size)
            except Broken as error:
                self._resume(error)

    def close(self) -> None:
        """Give the connection back, or close it where bytes are still to come."""
        self._is_at_end = True
        if self._answer is not None:
            self._answer.drop()
            self._answer = None

    # -- how

    def _receive(self, size: int) -> bytes:
        if self._answer is None:
            raise Broken("there is no connection")
        answer = self._answer
        with receiving(answer.destination):
            while self._at < self._next:  # a server without ranges begins at the first byte
                passed = answer.response.read1(min(CHUNK_SIZE, self._next - self._at))
                if not passed:
                    raise _ended_early(answer)
                self._at += len(passed)
            left = size if self._end is None else min(size, self._end - self._next)
            chunk = answer.response.read1(left) if left else b""
        self._next += len(chunk)
        self._at += len(chunk)
        if self._next == self._end or not chunk:
            if self._end is not None and self._next < self._end:
                raise _ended_early(answer)
            self.close()
        return chunk

    def _resume(self, error: Broken) -> None:
        """Ask for the rest, of the same content."""
        while True:
            self._count(error)
            try:
                self._ask_for_rest()
                return
            except Broken as again:
                error = again
            except Unreachable as again:
                error = Broken(str(again))

    def _count(self, error: Broken) -> None:
        """Wait a moment, unless this was once too often."""
        if self._answer is not None:
            self._answer.drop()
            self._answer = None
        if self._next - self._last_failure >= CHUNK_SIZE:
            self._failures = 0
        self._last_failure = self._next
        can_go_on = (
            self._next == self._wanted.start
            or self._wanted.is_fixed
            or self._first.version.condition is not None
        )
        if self._failures >= self._retries or not can_go_on:
            why = "" if can_go_on else ", and the server does not name the version that it was of"
            raise Unreachable(f"{error}; the read broke off at byte {self._next}{why}")
        log.info("%s; the read is taken up again at byte %d", error, self._next)
        time.sleep(min(_LONGEST_PAUSE, _FIRST_PAUSE * 3**self._failures))
        self._failures += 1

    def _ask_for_rest(self) -> None:
        wanted, first = self._wanted, self._first
        if self._next == wanted.start:  # nothing was given out, so any content will do
            self._begin(self._ask(wanted.start, wanted.of))
            return
        answer = self._ask_where_it_was(first.version)
        if not (wanted.is_fixed or answer.is_of_same_content(first)):
            answer.drop()
            shown = answer.destination.shown
            raise Changed(f"{shown}: its content changed while it was read")
        self._answer, self._at = answer, answer.start

    def _ask_where_it_was(self, of: Version) -> Answer:
        """Ask the server that a redirect led to; the URL only if that one does not go on.

        A redirect may lead to another mirror every time, which knows the same bytes by another
        version. What it led to may be signed, and no longer be valid.
        """
        if self._elsewhere is not None:
            try:
                # Without the wanted headers: they are for the URL's own server.
                return self._fetcher.get(self._elsewhere, self._next, self._asked_end(), of=of)
            except Changed:
                raise
            except WebError as error:
                log.info("%s; asked again is where the URL leads by now", error)
                self._elsewhere = None
        answer = self._ask(self._next, of)
        self._elsewhere = answer.elsewhere
        return answer

    def _ask(self, start: int, of: Version | None) -> Answer:
        wanted = self._wanted
        return self._fetcher.get(
            wanted.url, start, self._asked_end(), of=of, headers=wanted.headers
        )

    def _begin(self, answer: Answer) -> None:
        try:
            self._require_expected(answer)
        except BaseException:
            answer.drop()
            raise
        self._first = self._answer = answer
        self._elsewhere = answer.elsewhere
        self._at = answer.start
        self._end = answer.total if self._wanted.end is None else self._wanted.end

    def _asked_end(self) -> int | None:
        """Return the end to ask for: none where all is wanted, which every server understands."""
        return self._wanted.end if self._wanted.end != self._wanted.size else None

    def _require_expected(self, answer: Answer) -> None:
        """Insist on as many bytes as there were, and on a body whose end can be seen."""
        total, size, shown = answer.total, self._wanted.size, answer.destination.shown
        of = self._wanted.of
        if of is not None and not answer.version.is_same(of):
            raise Changed(f"{shown}: its content changed since the read of it began")
        if None not in (total, size) and total != size:
            raise Unusable(f"{shown}: it has {total} bytes and had {size} when registered")
        is_bounded = self._wanted.end is not None or size is not None
        if total is None and not is_bounded and not answer.has_an_end:
            raise Unusable(f"{shown}: the server does not say where its body ends")


def _ended_early(answer: Answer) -> Broken:
    return Broken(f"{answer.destination.shown}: the body ended early")
