# SPDX-License-Identifier: Apache-2.0
"""The records of a Glance database as values of glancekit's model, some hundreds at a time.

What cannot be what it was is told to the findings. Writing them down is taking.py's business.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, func, select

from glancekit.plugin import (
    Association,
    Contents,
    Definition,
    DefinitionKind,
    GlancekitError,
    Image,
    ImageStatus,
    Location,
    LocationStatus,
    Member,
    MemberStatus,
    Namespace,
    ResourceType,
    Task,
    TaskStatus,
    TaskType,
    Tombstone,
    Visibility,
)
from glancekit_glance_adoption import schema
from glancekit_glance_adoption.encryption import decrypt, is_plain
from glancekit_glance_adoption.findings import Findings, Reason
from glancekit_glance_adoption.placing import Places

BATCH = 200
"""Images that are read, and later written, in one go."""

KINDS = ("images", "deleted images", "tasks", "namespaces")
"""What is counted."""

IN_FLIGHT = frozenset({ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})
"""States in which somebody was sending data; nobody is any more when records are taken over."""

NOTES = frozenset({"os_glance_import_task", "os_glance_stage_host", "os_glance_hash_op_host"})
"""Properties by which the other service's processes find each other."""

NOT_ENDED = "It had not ended when the service was taken over, and nobody goes on with it"

_STATUSES = frozenset(ImageStatus) - {ImageStatus.DELETED, ImageStatus.PENDING_DELETE}
"""What an image can be that is not deleted."""
_VISIBILITIES = frozenset(Visibility)
_OF_NAMESPACE = {"public": Visibility.PUBLIC}
_TYPES = frozenset(TaskType)


@dataclass(frozen=True, slots=True)
class Found:
    """One image with all that belongs to it."""

    image: Image
    locations: tuple[Location, ...] = ()
    members: tuple[Member, ...] = ()


@dataclass(frozen=True, slots=True)
class Buried:
    """A deleted image's id, and where its data still wait to be removed."""

    tombstone: Tombstone
    waiting: tuple[Location, ...] = ()


class GlanceRecords:
    """What is in a Glance database, as of the moment at which its connection began to look."""

    def __init__(
        self,
        connection: Connection,
        places: Places,
        *,
        encryption_key: str | None,
        findings: Findings,
        batch: int = BATCH,
    ) -> None:
        self._connection = connection
        self._batch = batch
        self._places = places
        self._key = encryption_key
        self.findings = findings

    def counts(self) -> dict[str, int]:
        """Return how many rows there are to read of each kind."""
        images = schema.images
        return {
            "images": self._count(select(images).where(images.c.deleted.is_(False))),
            "deleted images": self._count(select(images).where(images.c.deleted.is_(True))),
            "tasks": self._count(select(schema.tasks).where(schema.tasks.c.deleted.is_(False))),
            "namespaces": self._count(select(schema.namespaces)),
        }

    # -- images

    def images(self) -> Iterator[list[Found]]:
        """Yield the images that are not deleted, in the order of their ids."""
        for rows in self._pages(schema.images, deleted=False):
            ids = [row.id for row in rows]
            parts = _Parts(
                self._of_images(schema.image_properties, ids),
                self._of_images(schema.image_tags, ids),
                self._of_images(schema.image_locations, ids),
                self._of_images(schema.image_members, ids),
            )
            yield [self._found(row, parts) for row in rows if self._is_sound(row)]

    def buried(self) -> Iterator[list[Buried]]:
        """Yield what remains of deleted images."""
        for rows in self._pages(schema.images, deleted=True):
            waiting = [row.id for row in rows if row.status == ImageStatus.PENDING_DELETE]
            locations = self._waiting(waiting)
            yield [self._buried(row, locations.get(row.id, [])) for row in rows]

    def _is_sound(self, row: Row[Any]) -> bool:
        if row.status in _STATUSES and row.visibility in _VISIBILITIES:
            return True
        self.findings.add(Reason.STRANGE_IMAGE, row.id)
        return False

    def _found(self, row: Row[Any], parts: _Parts) -> Found:
        status = ImageStatus(row.status)
        if status in IN_FLIGHT:
            self.findings.add(Reason.IN_FLIGHT, row.id)
            status = ImageStatus.QUEUED
        is_empty = status is ImageStatus.QUEUED
        image = Image(
            id=row.id,
            owner=row.owner,
            status=status,
            visibility=Visibility(row.visibility),
            name=row.name,
            disk_format=row.disk_format,
            container_format=row.container_format,
            size=None if is_empty else row.size,
            virtual_size=None if is_empty else row.virtual_size,
            checksum=row.checksum,
            os_hash_algo=row.os_hash_algo,
            os_hash_value=row.os_hash_value,
            min_disk=row.min_disk,
            min_ram=row.min_ram,
            protected=bool(row.protected),
            os_hidden=bool(row.os_hidden),
            created_at=_moment(row.created_at),
            updated_at=_moment(row.updated_at or row.created_at),
            properties=self._properties(row.id, parts.properties.get(row.id, [])),
            tags=frozenset(tag.value for tag in parts.tags.get(row.id, [])),
        )
        return Found(
            image,
            () if is_empty else self._locations(row.id, parts.locations.get(row.id, [])),
            self._members(row.id, parts.members.get(row.id, [])),
        )

    def _properties(self, image_id: str, rows: Sequence[Row[Any]]) -> Mapping[str, str]:
        kept = {}
        for row in rows:
            if row.name in NOTES:
                self.findings.add(Reason.PROCESS_PROPERTY, f"{image_id} {row.name}")
                continue
            if row.value is None:
                self.findings.add(Reason.EMPTY_PROPERTY, f"{image_id} {row.name}")
            kept[row.name] = row.value or ""
        return kept

    def _locations(self, image_id: str, rows: Sequence[Row[Any]]) -> tuple[Location, ...]:
        kept: dict[str, Location] = {}
        for row in rows:
            if row.status != "active":
                self.findings.add(Reason.UNFINISHED_LOCATION, f"{image_id} (row {row.id})")
                continue
            location = self._location(row, LocationStatus.ACTIVE)
            if location is None:
                continue
            if not self._places.knows(location.store):
                self.findings.add(Reason.UNKNOWN_STORE, f"{image_id} in {location.store}")
            if location.store in kept:
                thing = f"{image_id} in {location.store} (row {row.id})"
                self.findings.add(Reason.SECOND_IN_STORE, thing)
            else:
                kept[location.store] = location
        return tuple(kept.values())

    def _location(self, row: Row[Any], status: LocationStatus) -> Location | None:
        url: str | None = row.value
        if not is_plain(row.value):
            url = decrypt(row.value, self._key) if self._key else None
        if url is None:
            self.findings.add(Reason.UNREADABLE_LOCATION, f"{row.image_id} (row {row.id})")
            return None
        metadata = _json(row.meta_data, f"a location of image {row.image_id}") or {}
        store = self._places.store_of(url, metadata)
        rest = {key: value for key, value in metadata.items() if key not in ("store", "backend")}
        return Location(url=url, metadata=rest, store=store, status=status, image_id=row.image_id)

    def _members(self, image_id: str, rows: Sequence[Row[Any]]) -> tuple[Member, ...]:
        kept: dict[str, Member] = {}
        for row in rows:
            thing = f"{row.member} of {image_id}"
            if row.can_share:
                self.findings.add(Reason.SHARES_ON, thing)
            if row.member in kept:
                self.findings.add(Reason.MEMBER_TWICE, thing)
            status = row.status
            if status not in frozenset(MemberStatus):
                self.findings.add(Reason.STRANGE_MEMBER, thing)
                status = MemberStatus.PENDING
            kept[row.member] = Member(
                image_id=image_id,
                project_id=row.member,
                status=MemberStatus(status),
                created_at=_moment(row.created_at),
                updated_at=_moment(row.updated_at or row.created_at),
            )
        return tuple(kept.values())

    def _buried(self, row: Row[Any], rows: Sequence[Row[Any]]) -> Buried:
        tombstone = Tombstone(
            id=row.id,
            owner=row.owner,
            deleted_at=_moment(row.deleted_at or row.updated_at or row.created_at),
        )
        waiting: dict[str, Location] = {}
        for found in rows:
            location = self._location(found, LocationStatus.PENDING_DELETE)
            if location is not None:
                waiting.setdefault(location.store, location)
        if waiting:
            self.findings.add(Reason.PENDING_DELETE, row.id)
        return Buried(tombstone, tuple(waiting.values()))

    # -- tasks

    def tasks(self) -> Iterator[list[Task]]:
        """Yield the tasks that neither expired nor were deleted."""
        now = datetime.now(UTC)
        for rows in self._pages(schema.tasks, deleted=False):
            ids = [row.id for row in rows]
            table = schema.task_info
            found = self._connection.execute(select(table).where(table.c.task_id.in_(ids)))
            more = {row.task_id: row for row in found}
            batch = [self._task(row, more.get(row.id), now) for row in rows]
            yield [task for task in batch if task is not None]

    def _task(self, row: Row[Any], more: Row[Any] | None, now: datetime) -> Task | None:
        if row.type not in _TYPES:
            self.findings.add(Reason.STRANGE_TASK, f"{row.id} ({row.type})")
            return None
        expires_at = None if row.expires_at is None else _moment(row.expires_at)
        if expires_at is not None and expires_at < now:
            self.findings.add(Reason.EXPIRED_TASK, row.id)
            return None
        has_ended = row.status in (TaskStatus.SUCCESS, TaskStatus.FAILURE)
        if not has_ended:
            self.findings.add(Reason.UNFINISHED_TASK, row.id)
        message = more.message if more else ""
        thing = f"task {row.id}"
        return Task(
            id=row.id,
            type=TaskType(row.type),
            status=TaskStatus(row.status) if has_ended else TaskStatus.FAILURE,
            owner=row.owner,
            image_id=row.image_id,
            user_id=row.user_id,
            request_id=row.request_id,
            input=_json(more and more.input, thing) or {},
            result=_json(more and more.result, thing),
            message=(message or "") if has_ended else NOT_ENDED,
            created_at=_moment(row.created_at),
            updated_at=_moment(row.updated_at or row.created_at),
            expires_at=expires_at,
        )

    # -- metadata definitions

    def resource_types(self) -> list[ResourceType]:
        """Return all types of things that metadata definitions are for."""
        return [
            ResourceType(
                name=row.name,
                created_at=_moment(row.created_at),
                updated_at=_moment(row.updated_at or row.created_at),
            )
            for row in self._connection.execute(select(schema.resource_types))
        ]

    def namespaces(self) -> Iterator[Contents]:
        """Yield the namespaces, each with all that is in it."""
        found = self._connection.execute(select(schema.namespaces).order_by("namespace")).all()
        for row in found:
            yield Contents(
                namespace=Namespace(
                    name=row.namespace,
                    owner=row.owner,
                    display_name=row.display_name,
                    description=row.description,
                    visibility=_OF_NAMESPACE.get(row.visibility, Visibility.PRIVATE),
                    protected=bool(row.protected),
                    created_at=_moment(row.created_at),
                    updated_at=_moment(row.updated_at or row.created_at),
                ),
                associations=tuple(self._associations(row.id)),
                definitions=tuple(self._definitions(row.id)),
            )

    def _associations(self, namespace_id: int) -> Iterator[Association]:
        table, types = schema.associations, schema.resource_types
        statement = (
            select(types.c.name, table)
            .join(types, types.c.id == table.c.resource_type_id)
            .where(table.c.namespace_id == namespace_id)
        )
        for row in self._connection.execute(statement):
            yield Association(
                resource_type=row.name,
                prefix=row.prefix,
                properties_target=row.properties_target,
                **_times(row),
            )

    def _definitions(self, namespace_id: int) -> Iterator[Definition]:
        for kind, table in (
            (DefinitionKind.PROPERTY, schema.properties),
            (DefinitionKind.OBJECT, schema.objects),
            (DefinitionKind.TAG, schema.tags),
        ):
            for row in self._connection.execute(
                select(table).where(table.c.namespace_id == namespace_id).order_by(table.c.name)
            ):
                content = _CONTENT_OF[kind](row)
                yield Definition(kind=kind, name=row.name, content=content, **_times(row))

    # -- what is left behind

    def note_caches(self) -> None:
        """Tell of what is known of caches, which is not taken over."""
        cached = self._count(select(schema.cached_images))
        if cached:
            self.findings.add(Reason.CACHED, f"{cached} entries")

    # -- how

    def _count(self, statement: Select[Any]) -> int:
        counting = select(func.count()).select_from(statement.subquery())
        return int(self._connection.execute(counting).scalar_one())

    def _pages(self, table: Table, *, deleted: bool) -> Iterator[Sequence[Row[Any]]]:
        """Yield rows in the order of their ids, as many as one batch has."""
        statement = select(table).where(table.c.deleted.is_(deleted)).order_by(table.c.id)
        last: str | None = None
        while True:
            behind = statement if last is None else statement.where(table.c.id > last)
            rows = self._connection.execute(behind.limit(self._batch)).all()
            if not rows:
                return
            last = rows[-1].id
            yield rows

    def _of_images(self, table: Table, ids: Sequence[str]) -> Mapping[str, list[Row[Any]]]:
        statement = (
            select(table)
            .where(table.c.image_id.in_(ids), table.c.deleted.is_(False))
            .order_by(table.c.id)
        )
        return _by_image(self._connection.execute(statement))

    def _waiting(self, ids: Sequence[str]) -> Mapping[str, list[Row[Any]]]:
        table = schema.image_locations
        statement = (
            select(table)
            .where(table.c.image_id.in_(ids), table.c.status == "pending_delete")
            .order_by(table.c.id)
        )
        return _by_image(self._connection.execute(statement)) if ids else {}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The rows of other tables that belong to a batch of images, by image."""

    properties: Mapping[str, list[Row[Any]]]
    tags: Mapping[str, list[Row[Any]]]
    locations: Mapping[str, list[Row[Any]]]
    members: Mapping[str, list[Row[Any]]]


def _by_image(rows: Any) -> Mapping[str, list[Row[Any]]]:
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        found[row.image_id].append(row)
    return found


def _json(text: str | None, thing: str) -> Any:
    """Return what is kept as JSON, None where there is none.

    :raises GlancekitError: when it is no JSON.
    """
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise GlancekitError(
            f"The other service's database is damaged: {thing} has JSON that cannot be read"
        ) from error


def _moment(stored: datetime) -> datetime:
    """Times are in UTC there, and do not say so."""
    return stored.replace(tzinfo=UTC)


def _times(row: Row[Any]) -> dict[str, datetime]:
    created = _moment(row.created_at)
    return {
        "created_at": created,
        "updated_at": _moment(row.updated_at) if row.updated_at else created,
    }


def _object(row: Row[Any]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "required": [name for name in (row.required or "").split(",") if name],
        "properties": _json(row.json_schema, f"object {row.name}") or {},
    }
    return content if row.description is None else {"description": row.description, **content}


_CONTENT_OF: Mapping[DefinitionKind, Callable[[Row[Any]], dict[str, Any]]] = {
    DefinitionKind.PROPERTY: lambda row: _json(row.json_schema, f"property {row.name}") or {},
    DefinitionKind.OBJECT: _object,
    DefinitionKind.TAG: lambda row: {},
}
