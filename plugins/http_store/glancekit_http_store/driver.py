# SPDX-License-Identifier: Apache-2.0
"""The driver ``http``: images that web servers have. They are read, never written or deleted.

Digests, limits and deadlines are the core's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from glancekit_web_reading.connections import Connections
from glancekit_web_reading.failures import (
    Broken,
    Denied,
    NotThere,
    Unreachable,
    Unusable,
    WebError,
)
from glancekit_web_reading.fetching import Fetcher
from glancekit_web_reading.options import OPTIONS, settings_of
from glancekit_web_reading.reading import Wanted, WebStream
from glancekit_web_reading.settings import Settings

from glancekit.plugin import (
    FILTER_SECTION,
    BlobNotFound,
    ByteStream,
    GlancekitError,
    Location,
    StoreDenied,
    StoreDriver,
    StoreFailed,
    StoreUnavailable,
    SupportsRange,
    UriFilter,
)

_MEANINGS: Mapping[type[WebError], type[GlancekitError]] = {
    Denied: StoreDenied,
    Unreachable: StoreUnavailable,
    Broken: StoreUnavailable,
    Unusable: StoreFailed,
}


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
        with _as_stores_errors():
            return self._fetcher.size(location.url)

    def close(self) -> None:
        """Close what connections are kept."""
        self._connections.close()

    def _stream(self, wanted: Wanted) -> ByteStream:
        with _as_stores_errors():
            return _Stream(WebStream(self._fetcher, wanted, retries=self._settings.retries))


class _Stream(ByteStream):
    """A web server's bytes, whose errors are a store's."""

    def __init__(self, source: ByteStream) -> None:
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes."""
        with _as_stores_errors():
            return self._source.read(size)

    def close(self) -> None:
        """Let go of the connection."""
        self._source.close()


@contextmanager
def _as_stores_errors() -> Iterator[None]:
    try:
        yield
    except NotThere as error:  # whose location it was is not for everybody who reads the message
        raise BlobNotFound from error
    except WebError as error:
        kind = next(_MEANINGS[parent] for parent in type(error).__mro__ if parent in _MEANINGS)
        raise kind(str(error)) from error
