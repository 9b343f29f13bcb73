# SPDX-License-Identifier: Apache-2.0
"""What a web server's answer says: how much there is, which part this is, and of which version.

How it came here is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Self

from glancekit.plugin import Destination
from glancekit_web_reading.connections import Response
from glancekit_web_reading.failures import (
    Changed,
    Denied,
    NotThere,
    Unreachable,
    Unusable,
    WebError,
)

_PART = re.compile(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", re.IGNORECASE)

_REFUSALS: Mapping[int, tuple[type[WebError], str]] = {
    401: (Denied, "the server wants other credentials"),
    403: (Denied, "the server refuses"),
    404: (NotThere, "nothing is there"),
    407: (Denied, "the proxy wants other credentials"),
    408: (Unreachable, "the server did not wait"),
    410: (NotThere, "nothing is there"),
    416: (Changed, "it is shorter than it was"),
    425: (Unreachable, "the server wants it later"),
    429: (Unreachable, "the server has had too many requests"),
}


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one content of a URL from another. Both None: nothing does."""

    etag: str | None
    """A strong one: the same bytes, and not only the same meaning."""
    modified: str | None
    """A date that is old enough to mean one content only."""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """Read an answer's head."""
        etag, modified = headers.get("ETag"), headers.get("Last-Modified")
        is_strong = etag is not None and etag.startswith('"')
        return cls(etag if is_strong else None, modified if _is_settled(headers) else None)

    @property
    def condition(self) -> str | None:
        """Return what an ``If-Range`` header can say."""
        return self.etag or self.modified

    def is_same(self, other: Version) -> bool:
        """Say whether both are surely the same content."""
        if self.etag or other.etag:
            return self.etag == other.etag
        return self.modified is not None and self.modified == other.modified


@dataclass(frozen=True, slots=True)
class Answer:
    """A body on its way: it begins at byte ``start`` of ``total`` (None: not said)."""

    response: Response
    destination: Destination
    start: int
    total: int | None
    version: Version
    elsewhere: str | None = field(default=None, repr=False)
    """The URL that it came from, where a redirect led to another server. It may be signed."""

    @property
    def has_an_end(self) -> bool:
        """Say whether a body that was cut off can be told from a whole one."""
        length = self.response.headers.get("Content-Length")
        return _is_chunked(self.response) or _number(length) is not None

    def is_of_same_content(self, other: Answer) -> bool:
        """Say whether both are surely parts of the same bytes."""
        is_as_long = None in (self.total, other.total) or self.total == other.total
        return is_as_long and self.version.is_same(other.version)

    def drop(self) -> None:
        """Let go of the body, and of the connection unless the body is at its end."""
        self.response.close()


def read_answer(response: Response, destination: Destination) -> Answer:
    """Return what an answer to GET or HEAD says.

    :raises NotThere: when nothing is there.
    :raises Denied: when the server refuses.
    :raises Unreachable: when it cannot now.
    :raises Unusable: when this is no answer to what was asked.
    """
    version = Version.of(response.headers)
    if response.status == 200:
        length = response.headers.get("Content-Length")
        # Where both are given, the chunks count.
        total = None if _is_chunked(response) else _number(length)
        return Answer(response, destination, 0, total, version)
    if response.status == 206:
        match = _PART.fullmatch(response.headers.get("Content-Range", "").strip())
        if match and match[1]:
            start, last, total = int(match[1]), int(match[2]), _number(match[3])
            if start <= last and (total is None or last < total):
                return Answer(response, destination, start, total, version)
    raise refusal(response.status, destination)


def refusal(status: int, destination: Destination) -> WebError:
    """Return the error that a status means."""
    if status in _REFUSALS:
        kind, words = _REFUSALS[status]
        return kind(f"{destination.shown}: {words} ({status})")
    kind = Unreachable if status >= 500 else Unusable
    return kind(f"{destination.shown}: the server answered {status}")


def _is_chunked(response: Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _is_settled(headers: Mapping[str, str]) -> bool:
    """Say whether a date of change can stand for a content: not if it may change again in it."""
    try:
        modified = parsedate_to_datetime(headers["Last-Modified"])
        return (parsedate_to_datetime(headers["Date"]) - modified).total_seconds() >= 1
    except (KeyError, TypeError, ValueError):
        return False
