# SPDX-License-Identifier: Apache-2.0
"""What a caller asks of a list of images, and a page of the answer. URLs are not its business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import Image, MemberStatus, Visibility


class Comparison(StrEnum):
    """How a column is held against a value."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"


SORT_KEYS = (
    "name",
    "status",
    "container_format",
    "disk_format",
    "size",
    "id",
    "created_at",
    "updated_at",
)
"""Columns by which a list may be sorted. ``created_at`` and ``id`` always break ties."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One column of an image held against a value (a tuple of strings for ``in``)."""

    column: str
    comparison: Comparison
    value: str | int | bool | datetime | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of the order; ``descending`` as the API's default has it."""

    column: str
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageQuery:
    """A list of images as a metadata driver has to answer it.

    All conditions, properties and tags must hold. ``visibility`` None is the default view: public
    images, the viewer's own, and those shared with it whose membership has ``member_status``
    (None: any); other projects' community images appear only when asked for by ``visibility`` or
    with ``all_visibilities``. An administrator sees all but others' community images by default.
    ``os_hidden`` None means both. ``marker`` is the id of the last image of the page before, which
    must be visible to the viewer. The order must be total: the driver appends ``created_at`` and
    ``id`` (in the direction of the only sort key, else descending) unless they are among the keys.
    Nulls come after every value in ascending order.
    """

    viewer: Viewer = EVERYBODY
    limit: int = 25
    marker: str | None = None
    sort: tuple[SortKey, ...] = (SortKey("created_at"),)
    conditions: tuple[Condition, ...] = ()
    properties: Mapping[str, str] | None = None
    tags: frozenset[str] = frozenset()
    visibility: Visibility | None = None
    all_visibilities: bool = False
    member_status: MemberStatus | None = MemberStatus.ACCEPTED
    os_hidden: bool | None = False


@dataclass(frozen=True, slots=True)
class Page:
    """A page of images; ``is_full`` tells that there may be more."""

    images: tuple[Image, ...]
    is_full: bool
