# SPDX-License-Identifier: Apache-2.0
"""Events as upstream's notifications: the same types, and payloads with the same fields."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from glancekit.plugin import Event

_ERRORS = {"image.upload.failed": "image.upload", "image.send.failed": "image.send"}
"""What upstream tells with the priority ERROR, under which type."""

_IDS = uuid.UUID("0f2b4f0e-6b6a-4c5e-9a53-6f6f1a7c2f10")
"""Where message ids come from: an event that is sent twice has the same one."""

_OF_IMAGES = frozenset(
    f"image.{what}"
    for what in ("create", "update", "delete", "prepare", "upload", "activate", "send")
)
_GROUPS = ("image.member.", "task.", "metadef_")
"""What upstream tells of. Our own events, such as of damaged copies, its listeners do not know."""

_LISTS = ("os_glance_importing_to_stores", "os_glance_failed_import")


def message(event: Event, publisher_id: str) -> dict[str, Any]:
    """Return what is sent of an event."""
    return {
        "message_id": str(uuid.uuid5(_IDS, f"{publisher_id}:{event.position}:{event.at}")),
        "publisher_id": publisher_id,
        "event_type": type_of(event),
        "priority": priority_of(event),
        "payload": payload(event),
        "timestamp": event.at.replace(tzinfo=None).isoformat(sep=" "),
    }


def type_of(event: Event) -> str:
    """Return what upstream calls an event."""
    return _ERRORS.get(event.type, event.type)


def priority_of(event: Event) -> str:
    """Return how upstream rates an event."""
    return "ERROR" if event.type in _ERRORS else "INFO"


def payload(event: Event) -> dict[str, Any] | str:
    """Return what an event says, with what upstream says besides.

    Of an upload that failed upstream says nothing but why.
    """
    if event.type == "image.upload.failed":
        return str(event.payload["reason"])
    said = dict(event.payload)
    if event.type.startswith("image.") and "id" in said:
        is_deleted = event.type == "image.delete"
        said |= {"deleted": is_deleted, "deleted_at": event.at.isoformat() if is_deleted else None}
        if event.type in ("image.prepare", "image.upload"):
            said |= {name: _listed(said.get("properties", {}), name) for name in _LISTS}
    elif event.type.startswith("task."):
        is_deleted = event.type == "task.delete"
        said |= {"deleted": is_deleted, "deleted_at": event.at.isoformat() if is_deleted else None}
    return said


def is_wanted(event: Event, disabled: Collection[str]) -> bool:
    """Say whether an event is told: one of upstream's that is not switched off.

    ``disabled`` has types, and groups of them by what stands before the first dot.
    """
    kind = type_of(event)
    if kind not in _OF_IMAGES and not kind.startswith(_GROUPS):
        return False
    return not {kind, kind.partition(".")[0]} & set(disabled)


def _listed(properties: Mapping[str, str], name: str) -> list[str]:
    return [store for store in properties.get(name, "").split(",") if store]
