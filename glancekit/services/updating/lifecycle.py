# SPDX-License-Identifier: Apache-2.0
"""Dates that owners write on their images: from when one is hidden, out of use, or deleted.

Which of these mean anything here the operator decides. Nothing is done to a protected image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.model.image import Image, now
from glancekit.core.model.status import ImageStatus
from glancekit.services.images import delete_when
from glancekit.services.importing.records import LOCK
from glancekit.services.updating.rounds import Duty, rewrite
from glancekit.services.world import World

HIDE, DEACTIVATE, DELETE = "hide", "deactivate", "delete"

PROPERTIES: Mapping[str, str] = {
    DELETE: "lifecycle_delete_at",
    DEACTIVATE: "lifecycle_deactivate_at",
    HIDE: "lifecycle_hide_at",
}
"""What each date is written in, as ISO 8601: a day, or a moment (UTC where it names no zone)."""

_IS_NOT_DONE: Mapping[str, Callable[[Image], bool]] = {
    DELETE: lambda image: True,
    DEACTIVATE: lambda image: image.status is ImageStatus.ACTIVE,
    HIDE: lambda image: not image.os_hidden,
}


def moment_of(text: str) -> datetime | None:
    """Return the moment that a property says, None where it says none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def next_deed(world: World, image: Image) -> str | None:
    """Return the most that the dates of an image ask for now."""
    if image.protected or image.status not in _STATUSES or LOCK in image.properties:
        return None
    for deed, name in PROPERTIES.items():
        moment = moment_of(image.properties.get(name, ""))
        is_due = moment is not None and moment <= now() and deed in world.updating.lifecycle
        if is_due and _IS_NOT_DONE[deed](image):
            return deed
    return None


def _due(world: World, image: Image) -> str | None:
    deed = next_deed(world, image)
    if deed is None:
        return None
    name = PROPERTIES[deed]
    return f"{deed}: {name} is {image.properties[name]}"


def _do(world: World, image: Image) -> bool:
    if next_deed(world, image) == DELETE:
        return delete_when(world, image.id, lambda stored: next_deed(world, stored) == DELETE)

    def change(_work: UnitOfWork, stored: Image) -> Image | None:
        deed = next_deed(world, stored)
        if deed == DEACTIVATE:
            return replace(stored, status=ImageStatus.DEACTIVATED)
        return replace(stored, os_hidden=True) if deed == HIDE else None

    return rewrite(world, image.id, change)


_STATUSES = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED, ImageStatus.QUEUED})

LIFECYCLE = Duty(name="lifecycle", due=_due, do=_do, statuses=_STATUSES)
"""Does what the dates on images ask for."""
