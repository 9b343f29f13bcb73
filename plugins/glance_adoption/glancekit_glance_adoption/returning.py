# SPDX-License-Identifier: Apache-2.0
"""The way back: glancekit's records into a Glance database that was just made, as one transaction.

Killed midway nothing of it is there. Image data stay where they are.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, func, insert, select

from glancekit.plugin import (
    DefinitionKind,
    GlancekitError,
    Image,
    ImageQuery,
    ImageStatus,
    Location,
    LocationStatus,
    Namespace,
    NamespaceQuery,
    SortKey,
    Task,
    TaskQuery,
    Tombstone,
    UnitOfWork,
)
from glancekit_glance_adoption import schema
from glancekit_glance_adoption.encryption import encrypt
from glancekit_glance_adoption.findings import Findings, Reason
from glancekit_glance_adoption.progress import Tally
from glancekit_glance_adoption.reading import BATCH, IN_FLIGHT

Rows = list[dict[str, Any]]

_EMPTY = (schema.images, schema.tasks, schema.namespaces, schema.resource_types)
"""Tables in which nothing may be: a database that was just made has nothing in them."""


class Returning:
    """One pass over all of glancekit's records. ``written`` counts them."""

    def __init__(
        self,
        connection: Connection,
        *,
        encryption_key: str | None,
        findings: Findings,
        tally: Tally,
    ) -> None:
        self._connection = connection
        self._key = encryption_key
        self._findings = findings
        self._tally = tally
        self.written: Counter[str] = Counter()

    def run(self, work: UnitOfWork) -> None:
        """Write everything down; the caller commits.

        :raises GlancekitError: when there is something in the database already.
        """
        self._require_empty()
        for images in _pages_of_images(work):
            self._write_images(work, images)
        for tombstones in _pages_of_tombstones(work):
            self._write_deleted(work, tombstones)
        for tasks in _pages_of_tasks(work):
            self._write_tasks(tasks)
        self._write_metadefs(work)

    def _require_empty(self) -> None:
        for table in _EMPTY:
            count = self._connection.execute(select(func.count()).select_from(table)).scalar_one()
            if count:
                raise GlancekitError(
                    f"There are {count} rows in {table.name}: records are only given back to a "
                    "database that was just made with 'glance-manage db sync', and has nothing"
                )

    # -- images

    def _write_images(self, work: UnitOfWork, images: Sequence[Image]) -> None:
        rows: dict[Table, Rows] = {table: [] for table in _OF_IMAGES}
        for image in images:
            locations = work.locations.of_image(image.id)
            rows[schema.images].append(self._image(image, locations))
            rows[schema.image_locations] += [
                self._location(image.updated_at, one) for one in locations if _is_kept(one)
            ]
            created = _times(image.created_at, image.updated_at)
            rows[schema.image_properties] += [
                {"image_id": image.id, "name": name, "value": value, **created, **_LIVES}
                for name, value in image.properties.items()
            ]
            rows[schema.image_tags] += [
                {"image_id": image.id, "value": tag, **created, **_LIVES}
                for tag in sorted(image.tags)
            ]
            rows[schema.image_members] += [
                {
                    "image_id": image.id,
                    "member": member.project_id,
                    "can_share": False,
                    "status": member.status.value,
                    **_times(member.created_at, member.updated_at),
                    **_LIVES,
                }
                for member in work.members.of_image(image.id)
            ]
        self._insert(rows)
        self._count("images", len(images))

    def _image(self, image: Image, locations: Sequence[Location]) -> dict[str, Any]:
        status = image.status
        if status in IN_FLIGHT:
            self._findings.add(Reason.UPLOADING_HERE, image.id)
            status = ImageStatus.QUEUED
        is_gone = status is ImageStatus.PENDING_DELETE
        return {
            "id": image.id,
            "name": image.name,
            "disk_format": image.disk_format,
            "container_format": image.container_format,
            "size": image.size,
            "virtual_size": image.virtual_size,
            "status": status.value,
            "visibility": image.visibility.value,
            "checksum": image.checksum,
            "os_hash_algo": image.os_hash_algo,
            "os_hash_value": image.os_hash_value,
            "min_disk": image.min_disk,
            "min_ram": image.min_ram,
            "owner": image.owner,
            "protected": image.protected,
            "os_hidden": image.os_hidden,
            **_times(image.created_at, image.updated_at),
            "deleted": is_gone,
            "deleted_at": _naive(image.updated_at) if is_gone else None,
        }

    def _location(self, at: datetime, location: Location) -> dict[str, Any]:
        is_gone = location.status is LocationStatus.PENDING_DELETE
        return {
            "image_id": location.image_id,
            "value": encrypt(location.url, self._key) if self._key else location.url,
            "meta_data": json.dumps({**location.metadata, "store": location.store}),
            "status": "pending_delete" if is_gone else "active",
            **_times(at, at),
            "deleted": is_gone,
            "deleted_at": _naive(at) if is_gone else None,
        }

    def _write_deleted(self, work: UnitOfWork, tombstones: Sequence[Tombstone]) -> None:
        rows: dict[Table, Rows] = {schema.images: [], schema.image_locations: []}
        for one in tombstones:
            waiting = [row for row in work.locations.of_image(one.id) if _is_kept(row)]
            rows[schema.images].append(_deleted(one, is_waiting=bool(waiting)))
            rows[schema.image_locations] += [
                self._location(one.deleted_at, row) for row in waiting
            ]
        self._insert(rows)
        self._count("deleted images", len(tombstones))

    # -- tasks

    def _write_tasks(self, tasks: Sequence[Task]) -> None:
        infos = [
            {
                "task_id": task.id,
                "input": json.dumps(dict(task.input)),
                "result": None if task.result is None else json.dumps(dict(task.result)),
                "message": task.message,
            }
            for task in tasks
        ]
        rows = [
            {
                "id": task.id,
                "type": task.type.value,
                "status": task.status.value,
                "owner": task.owner or "",
                "expires_at": None if task.expires_at is None else _naive(task.expires_at),
                "image_id": task.image_id,
                # The column is shorter than what is taken from clients here.
                "request_id": (task.request_id or "")[:64] or None,
                "user_id": (task.user_id or "")[:64] or None,
                **_times(task.created_at, task.updated_at),
                **_LIVES,
            }
            for task in tasks
        ]
        self._insert({schema.tasks: rows, schema.task_info: infos})
        self._count("tasks", len(tasks))

    # -- metadata definitions

    def _write_metadefs(self, work: UnitOfWork) -> None:
        types = {
            one.name: {"id": number, "name": one.name, "protected": False}
            | _times(one.created_at, one.updated_at)
            for number, one in enumerate(work.metadefs.resource_types(), start=1)
        }
        self._insert({schema.resource_types: list(types.values())})
        query = NamespaceQuery(sort_key="namespace", descending=False)
        namespaces = work.metadefs.find(query).namespaces
        for number, namespace in enumerate(namespaces, start=1):
            self._write_namespace(work, namespace, number, types)
            self._count("namespaces", 1)
        self._settle_counters()

    def _write_namespace(
        self,
        work: UnitOfWork,
        namespace: Namespace,
        number: int,
        types: Mapping[str, Mapping[str, Any]],
    ) -> None:
        name = namespace.name
        row = {
            "id": number,
            "namespace": name,
            "display_name": namespace.display_name,
            "description": namespace.description,
            "visibility": namespace.visibility.value,
            "protected": namespace.protected,
            "owner": namespace.owner,
            **_times(namespace.created_at, namespace.updated_at),
        }
        rows: dict[Table, Rows] = {schema.namespaces: [row]}
        rows[schema.associations] = [
            {
                "namespace_id": number,
                "resource_type_id": types[one.resource_type]["id"],
                "properties_target": one.properties_target,
                "prefix": one.prefix,
                **_times(one.created_at, one.updated_at),
            }
            for one in work.metadefs.associations([name]).get(name, ())
        ]
        for kind, table in _TABLES.items():
            rows[table] = [
                {
                    "namespace_id": number,
                    "name": one.name,
                    **_content(kind, one.content),
                    **_times(one.created_at, one.updated_at),
                }
                for one in work.metadefs.definitions(name, kind)
            ]
        self._insert(rows)

    def _settle_counters(self) -> None:
        """Let the database go on counting behind the numbers that were given here."""
        if self._connection.dialect.name != "postgresql":
            return
        for table in (schema.namespaces, schema.resource_types):
            sequence = func.pg_get_serial_sequence(table.name, "id")
            last = select(func.max(table.c.id)).scalar_subquery()
            self._connection.execute(select(func.setval(sequence, func.coalesce(last, 1))))

    # -- how

    def _insert(self, rows: Mapping[Table, Rows]) -> None:
        for table, some in rows.items():
            if some:
                self._connection.execute(insert(table), some)

    def _count(self, kind: str, more: int) -> None:
        self.written[kind] += more
        self._tally(kind, more)


_OF_IMAGES = (
    schema.images,
    schema.image_properties,
    schema.image_tags,
    schema.image_locations,
    schema.image_members,
)

_TABLES = {
    DefinitionKind.PROPERTY: schema.properties,
    DefinitionKind.OBJECT: schema.objects,
    DefinitionKind.TAG: schema.tags,
}

_LIVES: Mapping[str, Any] = {"deleted": False, "deleted_at": None}


def _pages_of_images(work: UnitOfWork) -> Iterator[Sequence[Image]]:
    query = ImageQuery(
        limit=BATCH,
        sort=(SortKey("created_at", descending=False),),
        all_visibilities=True,
        os_hidden=None,
    )
    last: str | None = None
    is_full = True
    while is_full:
        page = work.images.find(replace(query, marker=last))
        if page.images:
            yield page.images
            last = page.images[-1].id
        is_full = page.is_full


def _pages_of_tombstones(work: UnitOfWork) -> Iterator[Sequence[Tombstone]]:
    last: str | None = None
    while page := work.images.buried(limit=BATCH, after=last):
        yield page
        last = page[-1].id


def _pages_of_tasks(work: UnitOfWork) -> Iterator[Sequence[Task]]:
    last: str | None = None
    while page := work.tasks.find(
        TaskQuery(limit=BATCH, marker=last, sort_key="id", descending=False)
    ):
        yield page
        last = page[-1].id


def _is_kept(location: Location) -> bool:
    """What is being written has no place yet that could be told."""
    return location.status is not LocationStatus.WRITING and bool(location.url)


def _deleted(tombstone: Tombstone, *, is_waiting: bool) -> dict[str, Any]:
    at = _naive(tombstone.deleted_at)
    return {
        "id": tombstone.id,
        "owner": tombstone.owner,
        "status": "pending_delete" if is_waiting else "deleted",
        "visibility": "shared",
        "min_disk": 0,
        "min_ram": 0,
        "protected": False,
        "os_hidden": False,
        "created_at": at,
        "updated_at": at,
        "deleted_at": at,
        "deleted": True,
    }


def _content(kind: DefinitionKind, content: Mapping[str, Any]) -> dict[str, Any]:
    if kind is DefinitionKind.TAG:
        return {}
    if kind is DefinitionKind.PROPERTY:
        return {"json_schema": json.dumps(dict(content))}
    return {
        "description": content.get("description"),
        "required": ",".join(content.get("required") or ()) or None,
        "json_schema": json.dumps(content.get("properties") or {}),
    }


def _naive(at: datetime) -> datetime:
    """Times are in UTC there, and do not say so."""
    return at.astimezone(UTC).replace(tzinfo=None)


def _times(created: datetime, updated: datetime) -> dict[str, datetime]:
    return {"created_at": _naive(created), "updated_at": _naive(updated)}
