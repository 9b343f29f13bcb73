# SPDX-License-Identifier: Apache-2.0
"""The method ``web-download``: an image from the URL that a user gives, judged at every hop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancekit_web_reading.connections import Connections
from glancekit_web_reading.fetching import Fetcher
from glancekit_web_reading.options import settings_of
from glancekit_web_reading.reading import Wanted, WebStream

from glancekit.plugin import (
    FILTER_SECTION,
    Fetched,
    Identity,
    Image,
    ImportMethod,
    Invalid,
    SourceChanged,
    SourceStream,
    Unavailable,
    UriFilter,
)
from glancekit_web_download import versions
from glancekit_web_download.digests import Digest
from glancekit_web_download.download import Bounds, Download, Nothing, as_imports_errors
from glancekit_web_download.options import OPTIONS, bounds_of

_KNOWN = {"name", "uri", "checksum"}


class WebDownload(ImportMethod):
    """Fetch ``uri``. With ``checksum`` (``sha256:ab12...``) its bytes must digest to that."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "web_download"
    shared_sections: ClassVar[Sequence[str]] = ("DEFAULT", FILTER_SECTION)
    options: ClassVar[Sequence[Any]] = OPTIONS

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings = settings_of(options)
        self._bounds: Bounds = bounds_of(options)
        self._filter = UriFilter(getattr(options, FILTER_SECTION))
        self._connections = Connections(self._settings)
        self._fetcher = Fetcher(
            self._connections, self._filter, redirects=self._settings.redirects
        )

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take a ``uri`` that may be fetched, and a ``checksum`` or none.

        :raises Invalid: when there is something else, or the operator does not allow the URL.
        """
        unknown = sorted(set(arguments) - _KNOWN)
        if unknown:
            raise Invalid(f"web-download takes uri and checksum; it does not know {unknown[0]}")
        url = arguments.get("uri")
        if not isinstance(url, str) or not url:
            raise Invalid("web-download needs uri, the URL to fetch")
        if arguments.get("checksum") is not None:
            Digest.parsed(arguments["checksum"])
        is_proxied = self._connections.is_proxied(url.partition(":")[0].lower())
        try:
            self._filter.judge(url, is_resolved_elsewhere=is_proxied)
        except Unavailable as error:
            raise Invalid(f"the URL cannot be fetched: {error}") from error

    def open(
        self,
        image: Image,
        arguments: Mapping[str, Any],
        *,
        caller: Identity,
        fetched: Fetched | None,
    ) -> SourceStream:
        """Ask for it, behind what was fetched.

        :raises SourceChanged: when it is another content by now.
        :raises Unavailable: when the server does not answer now.
        :raises Invalid: when it has nothing there, or nothing for us.
        """
        url = arguments["uri"]
        size, version = versions.read(fetched.version) if fetched else (None, None)
        checksum = arguments.get("checksum")
        expected = None if checksum is None else Digest.parsed(checksum)
        if fetched is not None and fetched.size == size:  # of which no server would send a range
            return self._download(Nothing(), url, size, fetched.version, expected, fetched)
        wanted = Wanted(url, start=fetched.size if fetched else 0, of=version)
        with as_imports_errors():
            stream = WebStream(self._fetcher, wanted, retries=self._settings.retries)
        try:
            if fetched is not None and stream.total != size:
                raise SourceChanged(source=self._shown(url))
            known = versions.written(stream.total, stream.version)
            return self._download(stream, url, stream.total, known, expected, fetched)
        except BaseException:
            stream.close()
            raise

    def _download(
        self,
        source: WebStream | Nothing,
        url: str,
        size: int | None,
        version: str | None,
        expected: Digest | None,
        fetched: Fetched | None,
    ) -> SourceStream:
        return Download(
            source,
            shown=self._shown(url),
            size=size,
            version=version,
            bounds=self._bounds,
            expected=expected,
            fetched=fetched,
        )

    def _shown(self, url: str) -> str:
        """Return a URL without what is nobody's business: credentials and query."""
        scheme, _, rest = url.partition("//")
        authority, slash, path = rest.partition("/")
        return f"{scheme}//{authority.rpartition('@')[2]}{slash}{path}".partition("?")[0]
