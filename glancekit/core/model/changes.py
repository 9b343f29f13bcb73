# SPDX-License-Identifier: Apache-2.0
"""What a caller asks to be made or changed. Whether they may is decided in the services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from glancekit.core.errors import RangeUnsatisfiable
from glancekit.core.model.image import NOTHING, Visibility


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """An image to be made; None stands for the default."""

    id: str | None = None
    name: str | None = None
    owner: str | None = None
    visibility: Visibility = Visibility.SHARED
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    os_hidden: bool = False
    properties: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    tags: frozenset[str] = frozenset()


class Op(StrEnum):
    """What a change does to its attribute."""

    ADD = "add"
    """Set it, whether it was there or not (JSON patch, draft 10)."""
    CREATE = "create"
    """Set it; it must not be there yet (what ``add`` meant in draft 4)."""
    REPLACE = "replace"
    """Set it; it must be there."""
    REMOVE = "remove"
    """Take it away; it must be there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One operation of a PATCH on one attribute, by its name in the API."""

    op: Op
    name: str
    value: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLocation:
    """Where an image's data is, as a caller says it, with the digests that they know."""

    url: str
    metadata: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    checksum: str | None = None
    hash_algo: str | None = None
    hash_value: str | None = None


@dataclass(frozen=True, slots=True)
class LocationChange:
    """One operation of a PATCH on the list of an image's locations.

    ``position`` counts from 0; None stands for the end, and for the whole list with ``replace``.
    """

    op: Op
    position: int | None = None
    locations: tuple[NewLocation, ...] = ()


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A range as it was asked for: from ``first`` to ``last`` inclusive.

    ``last`` None is "to the end"; ``first`` None is "the last ``last`` bytes" (RFC 9110, 14.1.2).
    """

    first: int | None
    last: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Return offset and length in data of so many bytes, cut at the end.

        :raises RangeUnsatisfiable: when no byte of it is there.
        """
        if self.first is None:
            offset, end = max(size - (self.last or 0), 0), size
        else:
            offset = self.first
            end = size if self.last is None else min(self.last + 1, size)
        if offset >= size or end <= offset:
            raise RangeUnsatisfiable(size=size)
        return offset, end - offset
