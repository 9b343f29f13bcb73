# SPDX-License-Identifier: Apache-2.0
"""The method ``glance-download``: an image of another region's image service.

That service may be upstream's or glancekit. Who may have the image is decided here by its record
there: its owner, those it is shared with, or everybody.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from glancekit_web_reading.connections import Connections
from glancekit_web_reading.failures import NotThere, Unusable
from glancekit_web_reading.fetching import Fetcher
from glancekit_web_reading.options import settings_of
from glancekit_web_reading.reading import Wanted, WebStream

from glancekit.plugin import (
    FILTER_SECTION,
    Destination,
    Fetched,
    Identity,
    Image,
    ImportMethod,
    Invalid,
    ListOpt,
    SourceChanged,
    SourceStream,
    SupportsDescription,
    UriFilter,
)
from glancekit_web_download.cloud import OPTIONS as CLOUD
from glancekit_web_download.cloud import SECTION, Cloud
from glancekit_web_download.digests import ALGORITHMS, Digest
from glancekit_web_download.download import Bounds, Download, Nothing, as_imports_errors
from glancekit_web_download.options import OPTIONS, bounds_of

_KNOWN = {"name", "glance_image_id", "glance_region", "glance_service_interface"}

_BASE = {field.name for field in fields(Image)}
"""What is no property of an image but a part of its record."""

_MOST_DETAILS = 1 << 20
"""Bytes of an image's record that are read."""


@dataclass(frozen=True, slots=True)
class Remote:
    """An image of the other service: where its bytes are, and its record there."""

    url: str
    record: Mapping[str, Any]
    fetcher: Fetcher

    @property
    def size(self) -> int | None:
        """How many bytes it has."""
        size = self.record.get("size")
        return size if isinstance(size, int) else None

    @property
    def digest(self) -> Digest | None:
        """What its bytes digest to, as far as that service says."""
        algorithm, value = self.record.get("os_hash_algo"), self.record.get("os_hash_value")
        if algorithm in ALGORITHMS and isinstance(value, str):
            return Digest.parsed(f"{algorithm}:{value}")
        checksum = self.record.get("checksum")
        return Digest.parsed(f"md5:{checksum}") if isinstance(checksum, str) else None


class GlanceDownload(ImportMethod, SupportsDescription):
    """Copy an active image, its formats and the properties that the operator names."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = SECTION
    shared_sections: ClassVar[Sequence[str]] = ("DEFAULT", FILTER_SECTION)
    options: ClassVar[Sequence[Any]] = (
        ListOpt(
            "extra_properties",
            default=["hw_", "trait:", "os_distro", "os_secure_boot", "os_type"],
            help="How the names of properties begin that are copied with an image.",
        ),
        *CLOUD,
        *OPTIONS,
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings = settings_of(options)
        self._bounds: Bounds = bounds_of(options)
        self._filtering = getattr(options, FILTER_SECTION)
        self._connections = Connections(self._settings)
        self._cloud = Cloud(options)
        self._prefixes = tuple(options.extra_properties)

    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Take ``glance_region``, ``glance_image_id`` and ``glance_service_interface``.

        :raises Invalid: when one of them is missing or makes no sense.
        """
        unknown = sorted(set(arguments) - _KNOWN)
        if unknown:
            raise Invalid(f"glance-download does not know the argument {unknown[0]}")
        region = arguments.get("glance_region")
        if not isinstance(region, str) or not region:
            raise Invalid("glance-download needs glance_region, the region to copy from")
        _image_id(arguments)
        if not isinstance(arguments.get("glance_service_interface", ""), str | None):
            raise Invalid("glance_service_interface is a word: public, internal or admin")

    def describe(self, image: Image, arguments: Mapping[str, Any], *, caller: Identity) -> Image:
        """Take over formats and properties.

        :raises Invalid: when there is no such image, or it has no data.
        """
        record = self._remote(arguments, caller).record
        copied = {
            name: value
            for name, value in record.items()
            if name.startswith(self._prefixes) and name not in _BASE and isinstance(value, str)
        }
        return replace(
            image,
            disk_format=record.get("disk_format") or image.disk_format,
            container_format=record.get("container_format") or image.container_format,
            properties={**image.properties, **copied},
        )

    def open(
        self,
        image: Image,
        arguments: Mapping[str, Any],
        *,
        caller: Identity,
        fetched: Fetched | None,
    ) -> SourceStream:
        """Ask for its bytes. An image's bytes never change, so its digest names their version.

        :raises SourceChanged: when the other service cannot go on where a fetch broke off.
        """
        remote = self._remote(arguments, caller)
        digest = remote.digest
        version = None if digest is None else f"{digest.algorithm}:{digest.value}"
        if fetched is not None and fetched.version != version:
            raise SourceChanged(source=remote.url)
        source = self._source(remote, fetched)
        try:
            return Download(
                source,
                shown=remote.url,
                size=remote.size,
                version=version,
                bounds=self._bounds,
                expected=digest,
                fetched=fetched,
            )
        except BaseException:
            source.close()
            raise

    def _source(self, remote: Remote, fetched: Fetched | None) -> WebStream | Nothing:
        if fetched is not None and fetched.size == remote.size:
            return Nothing()
        wanted = Wanted(
            remote.url,
            start=fetched.size if fetched else 0,
            end=remote.size,
            size=remote.size,
            is_fixed=remote.digest is not None,
            headers=self._cloud.headers(),
        )
        with as_imports_errors():
            try:
                return WebStream(remote.fetcher, wanted, retries=self._settings.retries)
            except Unusable as error:
                if fetched is None:
                    raise
                # Upstream has stores of which it gives no ranges.
                raise SourceChanged(source=remote.url) from error

    def _remote(self, arguments: Mapping[str, Any], caller: Identity) -> Remote:
        """Find an image that the caller may have.

        :raises Invalid: when there is none, or it has no data.
        """
        endpoint = self._cloud.endpoint(arguments["glance_region"], _interface(arguments))
        fetcher = Fetcher(
            self._connections,
            _Trusted(endpoint, self._filtering),
            redirects=self._settings.redirects,
        )
        url = f"{endpoint}/v2/images/{_image_id(arguments)}"
        record = self._read(fetcher, url)
        if record is None or not self._may_have(fetcher, url, record, caller):
            raise Invalid(f"{url}: there is no such image for this project")
        if record.get("status") != "active":
            raise Invalid(f"{url}: it has no data to copy, its status is {record.get('status')}")
        return Remote(f"{url}/file", record, fetcher)

    def _may_have(
        self, fetcher: Fetcher, url: str, record: Mapping[str, Any], caller: Identity
    ) -> bool:
        if caller.is_admin or record.get("visibility") in ("public", "community"):
            return True
        if caller.project_id is None:
            return False
        if record.get("owner") == caller.project_id:
            return True
        is_shared = record.get("visibility") == "shared"
        member = f"{url}/members/{quote(caller.project_id, safe='')}"
        return is_shared and self._read(fetcher, member) is not None

    def _read(self, fetcher: Fetcher, url: str) -> Mapping[str, Any] | None:
        """Return a record; None when there is none, or none for this service."""
        wanted = Wanted(url, headers=self._cloud.headers())
        with as_imports_errors():
            try:
                with WebStream(fetcher, wanted, retries=self._settings.retries) as stream:
                    return _record(stream, url)
            except NotThere:
                return None


class _Trusted(UriFilter):
    """The operator's filter, and the image service that the operator named besides."""

    def __init__(self, endpoint: str, filtering: Any) -> None:
        super().__init__(filtering)
        lists: dict[str, list[str]] = {
            name: [] for name in vars(filtering) if name != "allow_private"
        }
        lists["allowed_hosts"] = [urlsplit(endpoint).hostname or ""]
        self._named = UriFilter(SimpleNamespace(**lists, allow_private=True))
        self._begins = f"{endpoint}/"

    def judge(self, url: str, *, is_resolved_elsewhere: bool = False) -> Destination:
        """Return where a URL leads: below the named address, or where anybody may be sent."""
        if url.startswith(self._begins):
            return self._named.judge(url, is_resolved_elsewhere=is_resolved_elsewhere)
        return super().judge(url, is_resolved_elsewhere=is_resolved_elsewhere)


def _record(stream: WebStream, url: str) -> Mapping[str, Any]:
    text = b""
    while chunk := stream.read(_MOST_DETAILS):
        text += chunk
        if len(text) > _MOST_DETAILS:
            raise Invalid(f"{url}: the record is larger than any image's")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Invalid(f"{url}: this is no image service's answer") from error
    if not isinstance(found, dict):
        raise Invalid(f"{url}: this is no image service's answer")
    return found


def _image_id(arguments: Mapping[str, Any]) -> str:
    try:
        return str(uuid.UUID(arguments.get("glance_image_id", "")))
    except (ValueError, AttributeError, TypeError):
        raise Invalid("glance-download: the image id does not look like a UUID") from None


def _interface(arguments: Mapping[str, Any]) -> str:
    """Return what is asked for. What a region has, its catalog knows, and so what it lacks."""
    return str(arguments.get("glance_service_interface") or "public")
