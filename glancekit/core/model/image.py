# SPDX-License-Identifier: Apache-2.0
"""An image, its locations and its members as frozen values.

Who may see them is not their business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from glancekit.core.model.status import ImageStatus, LocationStatus

NOTHING: Mapping[str, Any] = MappingProxyType({})

_CREDENTIALS = re.compile(
    r"^((?:swift|s3)(?:\+\w+)?://).*@|^([a-z][a-z0-9+.-]*://)[^/?#]*@", re.IGNORECASE
)
"""What is before the last "@" of a URL of upstream's object stores, in whose passwords it did not
quote slashes; before the host of any other."""


def without_credentials(url: str) -> str:
    """Return a URL as clients may see it: without the user and password that old ones carry."""
    return _CREDENTIALS.sub(lambda found: found[1] or found[2], url)


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_image_id(text: str) -> bool:
    """Say whether a name could be an image's id, in the form in which stores get it."""
    return _ID.fullmatch(text) is not None


def without_image_ids(text: str) -> str:
    """Return a text for those who may know of no image."""
    return _ID.sub("<image>", text)


def now() -> datetime:
    """The time as records carry it: UTC, aware, whole microseconds."""
    return datetime.now(UTC)


class Visibility(StrEnum):
    """Who may find an image."""

    PUBLIC = "public"
    COMMUNITY = "community"
    SHARED = "shared"
    PRIVATE = "private"


class MemberStatus(StrEnum):
    """What a project made of an image that was shared with it."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Finding(StrEnum):
    """What an audit made of one copy of an image's bytes."""

    GOOD = "good"
    """It was read from its first byte to its last and is what it should be."""

    BAD = "bad"
    """It was read, and has other bytes than the image."""

    MISSING = "missing"
    """Its store works, and has nothing there."""

    UNREADABLE = "unreadable"
    """Its store works, and cannot read it."""

    @property
    def is_lost(self) -> bool:
        """The bytes are not there to be had: nobody may be given what is read."""
        return self in (Finding.BAD, Finding.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One copy of an image's bytes.

    A driver fills ``url`` and ``metadata`` only; the core stamps the rest. ``url`` is empty while
    the copy is being written and the driver has not yet said where. ``size`` (bytes) is what the
    image has and what a driver may rely on for ranges; None when unknown. ``holder`` names the
    lease of the process that writes, repairs or removes the copy, None when nobody is at it.

    ``audited_at`` is when the copy was last looked at by an audit, or made, and ``finding`` what
    came of it, with ``reason`` in words where there is something to say; ``verified_at`` is when
    it was last found good. None of it makes a copy another one, so it does not count for equality.
    """

    url: str
    metadata: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    store: str = ""
    status: LocationStatus = LocationStatus.ACTIVE
    image_id: str = ""
    size: int | None = None
    id: int | None = None
    holder: str | None = None
    audited_at: datetime | None = field(default=None, compare=False)
    verified_at: datetime | None = field(default=None, compare=False)
    finding: Finding | None = field(default=None, compare=False)
    reason: str = field(default="", compare=False)

    @property
    def is_lost(self) -> bool:
        """An audit found that its bytes are not there, or others."""
        return self.finding is not None and self.finding.is_lost

    @property
    def shown_url(self) -> str:
        """The URL as clients may see it."""
        return without_credentials(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image record. Sizes in bytes, ``min_ram`` in MiB, ``min_disk`` in GiB, times in UTC.

    ``locations`` has the active copies only; rows in other states are seen through the location
    repository. ``version`` counts saves and is the compare-and-set of concurrent changes.
    """

    id: str
    owner: str | None
    status: ImageStatus = ImageStatus.QUEUED
    visibility: Visibility = Visibility.SHARED
    name: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    size: int | None = None
    virtual_size: int | None = None
    checksum: str | None = None
    os_hash_algo: str | None = None
    os_hash_value: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    os_hidden: bool = False
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    properties: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    tags: frozenset[str] = frozenset()
    locations: tuple[Location, ...] = ()
    version: int = 0

    @property
    def is_active(self) -> bool:
        """Its bytes are there and may be read."""
        return self.status is ImageStatus.ACTIVE

    @property
    def is_damaged(self) -> bool:
        """It has copies of its bytes, and an audit found that each of them is lost."""
        return bool(self.locations) and all(copy.is_lost for copy in self.locations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What remains of a deleted image: its id, which is never given out again."""

    id: str
    owner: str | None
    deleted_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A project with which an image is shared."""

    image_id: str
    project_id: str
    status: MemberStatus = MemberStatus.PENDING
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
