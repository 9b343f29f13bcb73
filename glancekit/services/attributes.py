# SPDX-License-Identifier: Apache-2.0
"""Which attributes of an image a caller may set, to what, and how a change is applied to a record.

The one allow-list: a name that is neither in ``WRITABLE`` nor a free property cannot be addressed.
Whether this caller may is asked by ``images``; JSON and patches are the API's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from glancekit.core.errors import (
    Conflict,
    Duplicate,
    Forbidden,
    InvalidField,
    LimitExceeded,
    ReadOnlyField,
)
from glancekit.core.model.changes import Change, Op
from glancekit.core.model.image import Image, Visibility
from glancekit.core.model.status import ImageStatus
from glancekit.services.world import Settings

READ_ONLY = frozenset(
    {
        "created_at",
        "updated_at",
        "status",
        "checksum",
        "size",
        "virtual_size",
        "direct_url",
        "self",
        "file",
        "schema",
        "id",
        "os_hash_algo",
        "os_hash_value",
        "stores",
        "location",
        "locations",
        "deleted",
        "deleted_at",
    }
)
"""Names that the API shows or keeps for itself; neither an attribute to set nor a property."""

RESERVED_PREFIX = "os_glance"
"""Properties that carry the service's own state begin with this."""

MAX_NAME = 255
MAX_PROPERTY_BYTES = 65535
"""What upstream's TEXT column takes; a value beyond it could not be carried back there."""

MAX_INT = 2**31 - 1
"""``min_disk`` and ``min_ram`` are 32-bit integers in every known client and database."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)


def _text(field: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidField(field=field, reason="it must be a string")
    if len(value) > MAX_NAME:
        raise InvalidField(field=field, reason=f"it is longer than {MAX_NAME} characters")
    return value


def _flag(field: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidField(field=field, reason="it must be true or false")
    return value


def _count(field: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INT:
        raise InvalidField(field=field, reason=f"it must be an integer from 0 to {MAX_INT}")
    return value


def _visibility(field: str, value: object) -> Visibility:
    try:
        return Visibility(value)  # type: ignore[arg-type]
    except ValueError:
        known = ", ".join(Visibility)
        raise InvalidField(field=field, reason=f"it must be one of {known}") from None


def _tags(field: str, value: object) -> frozenset[str]:
    if not isinstance(value, Iterable) or isinstance(value, str | Mapping):
        raise InvalidField(field=field, reason="it must be a list of strings")
    return frozenset(tag_text(tag) for tag in value)


def tag_text(tag: object) -> str:
    """Return a tag that is fit to be kept.

    :raises InvalidField: when it is empty, too long or no string.
    """
    text = _text("tags", tag)
    if not text:
        raise InvalidField(field="tags", reason="a tag must have 1 to 255 characters")
    return text


WRITABLE: Mapping[str, Callable[[str, object], Any]] = {
    "name": _text,
    "visibility": _visibility,
    "owner": _text,
    "disk_format": _text,
    "container_format": _text,
    "min_disk": _count,
    "min_ram": _count,
    "protected": _flag,
    "os_hidden": _flag,
    "tags": _tags,
}
"""Attributes that a caller may set, with what makes a fit value of what was sent."""

_UNTIL_DATA = frozenset({"disk_format", "container_format"})
"""Fixed once there is data, since they say what the data is."""


def image_id_text(image_id: str) -> str:
    """Return a caller's own id for a new image, in canonical form.

    :raises InvalidField: when it is not a UUID.
    """
    if not _UUID.match(image_id):
        raise InvalidField(field="id", reason="it must be a UUID")
    return image_id.lower()


def apply(image: Image, change: Change) -> Image:
    """Return the image as it is after one change.

    :raises ReadOnlyField: when the attribute is not the caller's to set.
    :raises Forbidden: when it cannot be removed, or not be changed now.
    :raises Conflict: when it had to be there and is not, or the other way round.
    :raises InvalidField: when the value is not fit.
    """
    if change.name in READ_ONLY or change.name.startswith(RESERVED_PREFIX):
        raise ReadOnlyField(field=change.name)
    if change.name in WRITABLE:
        return _apply_attribute(image, change)
    return _apply_property(image, change)


def _apply_attribute(image: Image, change: Change) -> Image:
    name = change.name
    if change.op is Op.REMOVE:
        raise Forbidden(action=f"remove '{name}': every image has it")
    value = WRITABLE[name](name, change.value)
    present = getattr(image, name)
    if change.op is Op.CREATE and present is not None:
        raise Duplicate(kind="attribute", key=name)
    open_states = {ImageStatus.QUEUED, ImageStatus.IMPORTING}
    if name in _UNTIL_DATA and value != present and image.status not in open_states:
        raise Forbidden(action=f"change '{name}' of an image that has data")
    return replace(image, **{name: value})


def _apply_property(image: Image, change: Change) -> Image:
    name, present = change.name, change.name in image.properties
    if change.op is Op.CREATE and present:
        raise Duplicate(kind="property", key=name)
    if change.op in (Op.REPLACE, Op.REMOVE) and not present:
        raise Conflict(f"Image {image.id} has no property '{name}'")
    properties = {key: value for key, value in image.properties.items() if key != name}
    # A null is how nova unsets a kernel or ramdisk; a property is a string or it is not there.
    if change.op is not Op.REMOVE and change.value is not None:
        properties[name] = change.value
        check_property(name, change.value)
    return replace(image, properties=properties)


def check_property(name: str, value: object) -> None:
    """Check the form of one free property.

    :raises ReadOnlyField: when the name is the service's own.
    :raises InvalidField: when name or value is not fit.
    """
    if name in READ_ONLY or name.startswith(RESERVED_PREFIX):
        raise ReadOnlyField(field=name)
    if not 0 < len(name) <= MAX_NAME:
        raise InvalidField(field=name[:40], reason="a property's name has 1 to 255 characters")
    if not isinstance(value, str):
        raise InvalidField(field=name, reason="a property's value must be a string")
    if len(value.encode()) > MAX_PROPERTY_BYTES:
        raise InvalidField(field=name, reason=f"it is longer than {MAX_PROPERTY_BYTES} bytes")


def check_whole(image: Image, settings: Settings, *, before: Image | None = None) -> None:
    """Check a record against what the operator allows.

    A limit that was exceeded ``before`` (it may have been lowered) only forbids growing.

    :raises InvalidField: when a format is not offered here.
    :raises LimitExceeded: when it would have too many properties or tags.
    """
    _check_choice("disk_format", image.disk_format, settings.disk_formats)
    _check_choice("container_format", image.container_format, settings.container_formats)
    own = sum(not name.startswith(RESERVED_PREFIX) for name in image.properties)
    had = len(before.properties) if before else 0
    _check_quota("properties", own, had, settings.image_property_quota)
    had_tags = len(before.tags) if before else 0
    _check_quota("tags", len(image.tags), had_tags, settings.image_tag_quota)


def _check_choice(field: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        raise InvalidField(field=field, reason=f"it must be one of {', '.join(choices)}")


def _check_quota(what: str, asked: int, had: int, limit: int) -> None:
    if 0 <= limit < asked and asked > had:
        raise LimitExceeded(what=f"{what} for one image", limit=limit, asked=asked)
