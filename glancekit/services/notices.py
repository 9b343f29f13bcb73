# SPDX-License-Identifier: Apache-2.0
"""What events say about an image, under the names and fields that upstream's notifications have.

Who is told, and how, is the listeners' business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from glancekit.core.model.events import Event
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location, Member, Visibility
from glancekit.core.model.task import Task


def about(image: Image, kind: str, caller: Identity | None) -> Event:
    """Make the event that something happened to an image; no caller: the service did it itself."""
    return Event(
        type=kind,
        subject=image.id,
        project_id=caller.project_id if caller else None,
        user_id=caller.user_id if caller else None,
        request_id=caller.request_id if caller else None,
        payload=payload(image),
    )


FAILED_UPLOAD = "image.upload.failed"
FAILED_SEND = "image.send.failed"
"""Our names for what upstream tells as an error under the type without the last word."""


def about_failure(image: Image, caller: Identity | None, reason: str) -> Event:
    """Make the event that an image did not get its data."""
    event = about(image, FAILED_UPLOAD, caller)
    return replace(event, payload={**event.payload, "reason": reason})


def about_download(image: Image, caller: Identity, sent: int, *, is_whole: bool) -> Event:
    """Make the event that bytes of an image were sent, all that were asked for or not."""
    return Event(
        type="image.send" if is_whole else FAILED_SEND,
        subject=image.id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        request_id=caller.request_id,
        payload={
            "bytes_sent": sent,
            "image_id": image.id,
            "owner_id": image.owner,
            "receiver_tenant_id": caller.project_id,
            "receiver_user_id": caller.user_id,
        },
    )


def about_copy(image: Image, kind: str, copy: Location) -> Event:
    """Make the event that the service itself found, made, repaired or removed a copy."""
    found = {
        "store": copy.store,
        "finding": None if copy.finding is None else copy.finding.value,
        "reason": copy.reason,
    }
    return Event(type=kind, subject=image.id, payload=payload(image) | {"copy": found})


def about_member(image: Image, member: Member, kind: str, caller: Identity) -> Event:
    """Make the event that something happened to the sharing of an image."""
    return Event(
        type=kind,
        subject=image.id,
        project_id=caller.project_id,
        user_id=caller.user_id,
        request_id=caller.request_id,
        payload={
            "image_id": image.id,
            "member_id": member.project_id,
            "status": member.status.value,
            "created_at": member.created_at.isoformat(),
            "updated_at": member.updated_at.isoformat(),
        },
    )


def about_task(task: Task, kind: str) -> Event:
    """Make the event that something happened to a task."""
    return Event(
        type=kind,
        subject=task.id,
        project_id=task.owner,
        user_id=task.user_id,
        request_id=task.request_id,
        payload={
            "id": task.id,
            "type": task.type.value,
            "status": task.status.value,
            "result": None,
            "owner": task.owner,
            "message": None,
            "image_id": task.image_id,
            "expires_at": None if task.expires_at is None else task.expires_at.isoformat(),
            "created_at": task.created_at.isoformat(),
            "updated_at": task.updated_at.isoformat(),
        },
    )


def payload(image: Image) -> dict[str, Any]:
    """Describe an image without its locations or digests."""
    return {
        "id": image.id,
        "name": image.name,
        "status": image.status.value,
        "created_at": image.created_at.isoformat(),
        "updated_at": image.updated_at.isoformat(),
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "checksum": image.checksum,
        "owner": image.owner,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "is_public": image.visibility is Visibility.PUBLIC,
        "visibility": image.visibility.value,
        "properties": dict(image.properties),
        "tags": sorted(image.tags),
    }
