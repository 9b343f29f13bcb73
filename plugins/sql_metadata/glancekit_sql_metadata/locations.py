# SPDX-License-Identifier: Apache-2.0
"""The location repository: copies of images' bytes, whether their image still exists or not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import bindparam, delete, select, update

from glancekit.plugin import (
    Conflict,
    Duplicate,
    Finding,
    Location,
    LocationRepository,
    LocationStatus,
)
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.quotas import SqlQuotas
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import image_locations, images

_LOCATIONS = select(*rows.LOCATION_COLUMNS, images.c.size).select_from(
    image_locations.outerjoin(images, images.c.id == image_locations.c.image_id)
)
_OF_IMAGE = _LOCATIONS.where(image_locations.c.image_id == bindparam("id_")).order_by(
    image_locations.c.id
)
_OF_IMAGES = _LOCATIONS.where(
    image_locations.c.image_id.in_(bindparam("ids", expanding=True))
).order_by(image_locations.c.id)
_WALK = (
    _LOCATIONS.where(image_locations.c.id > bindparam("after"))
    .order_by(image_locations.c.id)
    .limit(bindparam("limit"))
)
_WITH_STATUS = (
    _LOCATIONS.where(image_locations.c.status == bindparam("status_"))
    .order_by(image_locations.c.id)
    .limit(bindparam("limit"))
)
_SAVE = update(image_locations).where(
    image_locations.c.id == bindparam("id_"), image_locations.c.status == bindparam("expected")
)
_NOTE = update(image_locations).where(
    image_locations.c.id == bindparam("id_"),
    image_locations.c.status == LocationStatus.ACTIVE.value,
    image_locations.c.url == bindparam("url_"),
    image_locations.c.audited_at == bindparam("since"),
)
_DUE = (
    _LOCATIONS.where(
        image_locations.c.store == bindparam("store_"),
        image_locations.c.status == LocationStatus.ACTIVE.value,
        image_locations.c.audited_at < bindparam("before"),
    )
    .order_by(image_locations.c.audited_at, image_locations.c.id)
    .limit(bindparam("limit"))
)
_FOUND = (
    _LOCATIONS.where(
        image_locations.c.finding == bindparam("finding_"),
        image_locations.c.id > bindparam("after"),
    )
    .order_by(image_locations.c.id)
    .limit(bindparam("limit"))
)
_WHOSE = select(image_locations.c.image_id).where(image_locations.c.id == bindparam("id_"))
_REMOVE = delete(image_locations).where(image_locations.c.id == bindparam("id_"))

_WRITING = LocationStatus.WRITING


class SqlLocations(LocationRepository):
    """Locations in a session."""

    def __init__(self, session: Session, quotas: SqlQuotas) -> None:
        self._session = session
        self._quotas = quotas

    def add(self, location: Location) -> Location:
        """See the contract."""
        self._quotas.touch(location.image_id)
        if location.audited_at is None:
            location = replace(location, audited_at=datetime.now(UTC))
        values = rows.audit_values(location) | {
            "image_id": location.image_id,
            "store": location.store,
            "url": location.url,
            "metadata": rows.to_json(location.metadata),
            "status": location.status.value,
            "holder": location.holder,
        }
        added = self._session.insert(image_locations, values)
        if added is None:
            key = f"{location.store}' of image '{location.image_id}"
            raise Duplicate(kind="location", key=key)
        key_of_row = added.inserted_primary_key
        assert key_of_row is not None
        return replace(location, id=key_of_row[0])

    def save(self, location: Location, *, expect_status: LocationStatus) -> None:
        """See the contract."""
        begins_or_ends = expect_status is not location.status and _WRITING in (
            expect_status,
            location.status,
        )
        if begins_or_ends:  # between the other two states nothing changes for the quotas
            self._quotas.touch(location.image_id)
        values = {
            "id_": location.id,
            "expected": expect_status.value,
            "url": location.url,
            "metadata": rows.to_json(location.metadata),
            "status": location.status.value,
            "holder": location.holder,
        }
        if expect_status is _WRITING is not location.status:
            made = replace(
                location, audited_at=datetime.now(UTC), verified_at=None, finding=None, reason=""
            )
            values |= rows.audit_values(made)
        if self._session.write(_SAVE, values).rowcount != 1:
            raise Conflict(
                f"The copy of image {location.image_id} in store '{location.store}' is not "
                f"{expect_status} any more; somebody else changed it meanwhile"
            )
        if begins_or_ends and location.id is not None:
            self._quotas.release(location.id)

    def note(self, location: Location, *, since: datetime | None) -> None:
        """See the contract."""
        key = {
            "id_": location.id,
            "url_": location.url,
            "since": 0 if since is None else rows.to_time(since),
        }
        if self._session.write(_NOTE, rows.audit_values(location) | key).rowcount != 1:
            raise Conflict(
                f"The copy of image {location.image_id} in store '{location.store}' was changed "
                "since it was read"
            )

    def due(self, store: str, *, before: datetime, limit: int) -> Sequence[Location]:
        """See the contract."""
        asked = {"store_": store, "before": rows.to_time(before), "limit": limit}
        return [rows.location(row, row[-1]) for row in self._session.execute(_DUE, asked)]

    def found(self, finding: Finding, *, limit: int, after: int = 0) -> Sequence[Location]:
        """See the contract."""
        asked = {"finding_": finding.value, "after": after, "limit": limit}
        return [rows.location(row, row[-1]) for row in self._session.execute(_FOUND, asked)]

    def remove(self, location_id: int) -> None:
        """See the contract."""
        row = self._session.execute(_WHOSE, {"id_": location_id}).first()
        if row is not None:
            self._quotas.touch(row.image_id)
        self._session.write(_REMOVE, {"id_": location_id})
        self._quotas.release(location_id)

    def of_image(self, image_id: str) -> Sequence[Location]:
        """See the contract."""
        found = self._session.execute(_OF_IMAGE, {"id_": image_id})
        return [rows.location(row, row[-1]) for row in found]

    def of_images(self, image_ids: Collection[str]) -> Sequence[Location]:
        """See the contract."""
        found = self._session.execute(_OF_IMAGES, {"ids": list(image_ids)})
        return [rows.location(row, row[-1]) for row in found]

    def walk(self, *, limit: int, after: int = 0) -> Sequence[Location]:
        """See the contract."""
        found = self._session.execute(_WALK, {"after": after, "limit": limit})
        return [rows.location(row, row[-1]) for row in found]

    def with_status(self, status: LocationStatus, *, limit: int) -> Sequence[Location]:
        """See the contract."""
        found = self._session.execute(_WITH_STATUS, {"status_": status.value, "limit": limit})
        return [rows.location(row, row[-1]) for row in found]
