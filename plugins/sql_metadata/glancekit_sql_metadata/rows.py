# SPDX-License-Identifier: Apache-2.0
"""Rows become values of the model and the other way round. Asking for rows is not its business."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column

from glancekit.plugin import (
    Event,
    Finding,
    Image,
    ImageStatus,
    Location,
    LocationStatus,
    Member,
    MemberStatus,
    Task,
    TaskStatus,
    TaskType,
    Visibility,
)
from glancekit_sql_metadata.tables import image_locations, images

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# Looking a member of an enum up in a dict is five times as quick as calling the enum.
_IMAGE_STATUS = {str(status): status for status in ImageStatus}
_VISIBILITY = {str(visibility): visibility for visibility in Visibility}
_LOCATION_STATUS = {str(status): status for status in LocationStatus}
_FINDING = {str(finding): finding for finding in Finding}
_MEMBER_STATUS = {str(status): status for status in MemberStatus}

# The whole of json.loads without its look for white space, which is half of its time here.
_decode = json.JSONDecoder().raw_decode

_NO_TAGS: frozenset[str] = frozenset()
_NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})

IMAGE_COLUMNS: tuple[Column[Any], ...] = tuple(images.c)
"""The columns of an image in the order in which ``image`` takes them."""

LOCATION_COLUMNS: tuple[Column[Any], ...] = (
    image_locations.c.id,
    image_locations.c.store,
    image_locations.c.url,
    image_locations.c.metadata,
    image_locations.c.status,
    image_locations.c.holder,
    image_locations.c.image_id,
    image_locations.c.audited_at,
    image_locations.c.verified_at,
    image_locations.c.finding,
    image_locations.c.reason,
)
"""The columns of a location in the order in which ``location`` takes them."""

_WIDTH = len(IMAGE_COLUMNS)
_STATUS = _WIDTH + LOCATION_COLUMNS.index(image_locations.c.status)


def to_time(at: datetime) -> int:
    """Return a moment as it is stored."""
    return (at - _EPOCH) // _MICROSECOND


def from_time(stored: int) -> datetime:
    """Return the moment that was stored."""
    return _EPOCH + timedelta(0, 0, stored)


def to_json(value: Mapping[str, Any] | Sequence[str]) -> str:
    """Return plain values as they are stored, the same text for the same value."""
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def from_json(stored: str) -> Any:
    """Return the plain values that were stored."""
    return _decode(stored)[0]


def image_values(image: Image) -> dict[str, Any]:
    """Return an image as a row of ``images``."""
    return {
        "id": image.id,
        "owner": image.owner,
        "status": image.status.value,
        "visibility": image.visibility.value,
        "name": image.name,
        "disk_format": image.disk_format,
        "container_format": image.container_format,
        "size": image.size,
        "virtual_size": image.virtual_size,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "created_at": to_time(image.created_at),
        "updated_at": to_time(image.updated_at),
        "version": image.version,
        "properties": to_json(image.properties),
        "tags": to_json(sorted(image.tags)),
    }


def image(row: Sequence[Any], locations: tuple[Location, ...] = ()) -> Image:
    """Return the image of a row of ``IMAGE_COLUMNS``."""
    properties, tags = row[19], row[20]
    return Image(
        id=row[0],
        owner=row[1],
        status=_IMAGE_STATUS[row[2]],
        visibility=_VISIBILITY[row[3]],
        name=row[4],
        disk_format=row[5],
        container_format=row[6],
        size=row[7],
        virtual_size=row[8],
        checksum=row[9],
        os_hash_algo=row[10],
        os_hash_value=row[11],
        min_disk=row[12],
        min_ram=row[13],
        protected=row[14],
        os_hidden=row[15],
        created_at=from_time(row[16]),
        updated_at=from_time(row[17]),
        version=row[18],
        properties=_decode(properties)[0] if properties != "{}" else _NO_PROPERTIES,
        tags=frozenset(_decode(tags)[0]) if tags != "[]" else _NO_TAGS,
        locations=locations,
    )


def location(row: Sequence[Any], size: int | None) -> Location:
    """Return the location of a row of ``LOCATION_COLUMNS``."""
    return Location(
        id=row[0],
        store=row[1],
        url=row[2],
        metadata=_decode(row[3])[0],
        status=_LOCATION_STATUS[row[4]],
        holder=row[5],
        image_id=row[6],
        size=size,
        audited_at=from_time(row[7]) if row[7] else None,
        verified_at=None if row[8] is None else from_time(row[8]),
        finding=None if row[9] is None else _FINDING[row[9]],
        reason=row[10] or "",
    )


def audit_values(location: Location) -> dict[str, Any]:
    """Return what audits found of a location as columns of its row."""
    at, verified = location.audited_at, location.verified_at
    return {
        "audited_at": 0 if at is None else to_time(at),
        "verified_at": None if verified is None else to_time(verified),
        "finding": None if location.finding is None else location.finding.value,
        "reason": location.reason,
    }


def images_with_locations(rows: Iterable[Sequence[Any]]) -> list[Image]:
    """Return the images of rows of ``IMAGE_COLUMNS`` + ``LOCATION_COLUMNS``, an outer join.

    The rows of one image follow each other; an image without location has nulls in their place.
    Locations that are not active are dropped here: an image has few, and asked to look at their
    status SQLite takes the index of states, in which nearly all are active.
    """
    found: list[Image] = []
    locations: list[Location] = []
    last: Sequence[Any] | None = None
    for row in rows:
        if last is not None and row[0] != last[0]:
            found.append(image(last, tuple(locations)))
            locations = []
        if row[_STATUS] == "active":
            locations.append(location(row[_WIDTH:], row[7]))
        last = row
    if last is not None:
        found.append(image(last, tuple(locations)))
    return found


def member(row: Sequence[Any]) -> Member:
    """Return the member of a row of ``image_members``."""
    image_id, project_id, status, created_at, updated_at = row
    return Member(
        image_id=image_id,
        project_id=project_id,
        status=_MEMBER_STATUS[status],
        created_at=from_time(created_at),
        updated_at=from_time(updated_at),
    )


def event(row: Sequence[Any]) -> Event:
    """Return the event of a row of ``events``."""
    position, kind, subject, project_id, user_id, request_id, payload, at = row
    return Event(
        type=kind,
        subject=subject,
        project_id=project_id,
        user_id=user_id,
        request_id=request_id,
        payload=_decode(payload)[0],
        at=from_time(at),
        position=position,
    )


def task_values(task: Task) -> dict[str, Any]:
    """Return a task as a row of ``tasks``."""
    return {
        "id": task.id,
        "type": task.type.value,
        "status": task.status.value,
        "owner": task.owner,
        "image_id": task.image_id,
        "user_id": task.user_id,
        "request_id": task.request_id,
        "input": to_json(task.input),
        "result": None if task.result is None else to_json(task.result),
        "message": task.message,
        "holder": task.holder,
        "created_at": to_time(task.created_at),
        "updated_at": to_time(task.updated_at),
        "expires_at": None if task.expires_at is None else to_time(task.expires_at),
    }


def task(row: Any) -> Task:
    """Return the task of a row of ``tasks``."""
    return Task(
        id=row.id,
        type=TaskType(row.type),
        status=TaskStatus(row.status),
        owner=row.owner,
        image_id=row.image_id,
        user_id=row.user_id,
        request_id=row.request_id,
        input=_decode(row.input)[0],
        result=None if row.result is None else _decode(row.result)[0],
        message=row.message,
        holder=row.holder,
        created_at=from_time(row.created_at),
        updated_at=from_time(row.updated_at),
        expires_at=None if row.expires_at is None else from_time(row.expires_at),
    )
