# SPDX-License-Identifier: Apache-2.0
"""The driver ``http``: images that web servers have. They are read, never written or deleted.

Digests, limits and deadlines are the core's business.
"""

from __future__ import annotations

from typing import Any, ClassVar

from glancekit.plugin import (
    FILTER_SECTION,
    ByteStream,
    Location,
    StoreDriver,
    SupportsRange,
    UriFilter,
)
from glancekit_http_store.connections import Connections
from glancekit_http_store.fetching import Fetcher, answering
from glancekit_http_store.options import OPTIONS, Settings, settings_of
from glancekit_http_store.reading import Wanted, WebStream


class HttpStore(StoreDriver, SupportsRange):
    """Images that web servers have."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    shared_sections = (FILTER_SECTION,)
    schemes = ("http", "https")

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        allowed = UriFilter(getattr(options, FILTER_SECTION))
        self._connections = Connections(self._settings)
        self._fetcher = Fetcher(self._connections, allowed, redirects=self._settings.redirects)

    def open(self, location: Location) -> ByteStream:
        """Ask for all of it."""
        return self._stream(Wanted(location.url, end=location.size, size=location.size))

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Ask for a part; of a server without ranges, what is before it is read and dropped."""
        return self._stream(
            Wanted(location.url, start=offset, end=offset + length, size=location.size)
        )

    def size(self, location: Location) -> int | None:
        """Ask with HEAD, and with GET where that is not answered."""
        with answering():
            return self._fetcher.size(location.url)

    def close(self) -> None:
        """Close what connections are kept."""
        self._connections.close()

    def _stream(self, wanted: Wanted) -> ByteStream:
        with answering():
            return WebStream(self._fetcher, wanted, retries=self._settings.retries)
