# SPDX-License-Identifier: Apache-2.0
"""The quota repository: one row of sums for each project, in step with its images.

What an image counted before its first change in a transaction is remembered, and the difference
to what it counts afterwards is added to its project's row: when somebody asks for the usage, and
before the commit. The addition comes first and holds the row until the end of the transaction, so
what is read behind it cannot be raised by anybody else. It comes late, so it is held for short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, select, union, update

from glancekit.plugin import (
    NOTHING_USED,
    Conflict,
    Copy,
    Image,
    ImageStatus,
    Location,
    LocationStatus,
    ProjectUsage,
    QuotaRepository,
    Recount,
    kept_of,
    used_by,
)
from glancekit_sql_metadata.ledger import Account, SqlLedger
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import (
    image_locations,
    images,
    location_reservations,
    project_usage,
)

_COUNTED = (
    select(
        images.c.id,
        images.c.owner,
        images.c.status,
        images.c.size,
        image_locations.c.store,
        image_locations.c.status,
        location_reservations.c.amount,
    )
    .select_from(
        images.outerjoin(image_locations, image_locations.c.image_id == images.c.id).outerjoin(
            location_reservations, location_reservations.c.location_id == image_locations.c.id
        )
    )
    .order_by(images.c.id)
)
_OF_IMAGE = _COUNTED.where(images.c.id == bindparam("id_"))
_OF_PROJECT = _COUNTED.where(images.c.owner == bindparam("project"))
_LOCK_IMAGE = select(images.c.id).where(images.c.id == bindparam("id_"))

_SUMS = ("image_bytes", "stage_bytes", "images", "uploading")
_USAGE = select(*(project_usage.c[name] for name in _SUMS)).where(
    project_usage.c.project_id == bindparam("project")
)
_ROW = update(project_usage).where(project_usage.c.project_id == bindparam("project"))
_ADD = _ROW.values({name: project_usage.c[name] + bindparam(f"{name}_") for name in _SUMS})
_REPLACE = _ROW.values({name: bindparam(f"{name}_") for name in _SUMS})
_PROJECTS = union(
    select(images.c.owner.label("project")).where(images.c.owner.is_not(None)),
    select(project_usage.c.project_id),
).order_by("project")

_LOCK_WRITING = select(image_locations.c.holder).where(
    image_locations.c.id == bindparam("id_"), image_locations.c.status == "writing"
)
_RESERVED = select(location_reservations.c.amount).where(
    location_reservations.c.location_id == bindparam("id_")
)
_RELEASE = delete(location_reservations).where(
    location_reservations.c.location_id == bindparam("id_")
)


class _Share(NamedTuple):
    """What one image counts, and for whom; nobody counts images without owner.

    ``kept`` are the bytes of it that are in each store.
    """

    owner: str | None
    usage: ProjectUsage
    kept: Mapping[str, int] = {}


_NO_SHARE = _Share(None, NOTHING_USED)


class SqlQuotas(QuotaRepository):
    """Usage in a session. The other repositories tell it beforehand what they will change."""

    def __init__(self, session: Session, ledger: SqlLedger) -> None:
        self._session = session
        self._ledger = ledger
        self._before: dict[str, _Share] = {}
        self._new: dict[str, _Share] = {}

    # -- what the contract has

    def usage(self, project_id: str) -> ProjectUsage:
        """See the contract."""
        self.settle()
        row = self._session.execute(_USAGE, {"project": project_id}).first()
        return NOTHING_USED if row is None else _usage(row)

    def reserve(self, location: Location, amount: int) -> None:
        """See the contract."""
        self.touch(location.image_id)
        key = {"id_": location.id}
        lock = self._session.dialect.locking(_LOCK_WRITING)
        row = self._session.execute(lock, key).first()
        if row is None or row.holder != location.holder:
            raise Conflict(
                f"The copy of image {location.image_id} in store '{location.store}' is not being "
                "written any more; somebody else gave it up meanwhile"
            )
        upsert = self._session.dialect.upsert(location_reservations, "location_id", "amount")
        self._session.write(upsert, {"location_id": location.id, "amount": amount})

    def reserved(self, location_id: int) -> int:
        """See the contract."""
        return self._session.execute(_RESERVED, {"id_": location_id}).scalar() or 0

    def projects(self) -> Sequence[str]:
        """See the contract."""
        return list(self._session.execute(_PROJECTS).scalars())

    def recount(self, project_id: str) -> Recount:
        """See the contract."""
        self.settle()
        self._make_row(project_id)
        # Held first: what others change from here on, they add to the row after this has ended.
        lock = self._session.dialect.locking(_USAGE)
        kept = _usage(self._session.execute(lock, {"project": project_id}).one())
        true = NOTHING_USED
        for share in _shares(self._session.execute(_OF_PROJECT, {"project": project_id})):
            true += share.usage
        if kept != true:
            self._session.write(_REPLACE, {"project": project_id, **_parameters(true)})
        return Recount(project_id, kept, true)

    # -- what the other repositories use

    def touch(self, image_id: str) -> None:
        """Know that an image or its locations are about to change; the image is held for it."""
        self._new.pop(image_id, None)
        if image_id not in self._before:
            self._session.hold(_LOCK_IMAGE, image_id)
            self._before[image_id] = self._share(image_id)

    def added(self, image: Image) -> None:
        """Know that an image is new; what it counts need not be read while that is all."""
        if image.id not in self._before:
            self._before[image.id] = _NO_SHARE
            self._new[image.id] = _Share(image.owner, used_by(image.status, image.size, ()))

    def release(self, location_id: int) -> None:
        """End a reservation, if there is one."""
        self._session.write(_RELEASE, {"id_": location_id})

    def settle(self) -> None:
        """Add what has changed to the projects' rows, and note it in the ledger."""
        if not self._before:
            return
        touched, self._before = self._before, {}
        new, self._new = self._new, {}
        changes: defaultdict[str, ProjectUsage] = defaultdict(ProjectUsage)
        kept: defaultdict[Account, int] = defaultdict(int)
        for image_id, before in touched.items():
            after = new.get(image_id) or self._share(image_id)
            if before.owner is not None:
                changes[before.owner] -= before.usage
                for store, size in before.kept.items():
                    kept[before.owner, store] -= size
            if after.owner is not None:
                changes[after.owner] += after.usage
                for store, size in after.kept.items():
                    kept[after.owner, store] += size
        self._ledger.note(kept, datetime.now(UTC))
        for project_id in sorted(changes):  # in one order, so that no two wait for each other
            if changes[project_id] != NOTHING_USED:
                self._add(project_id, changes[project_id])

    # -- how

    def _share(self, image_id: str) -> _Share:
        found = self._session.execute(_OF_IMAGE, {"id_": image_id})
        return next(iter(_shares(found)), _NO_SHARE)

    def _add(self, project_id: str, change: ProjectUsage) -> None:
        parameters = {"project": project_id, **_parameters(change)}
        if self._session.write(_ADD, parameters).rowcount == 0:
            self._make_row(project_id)
            self._session.write(_ADD, parameters)

    def _make_row(self, project_id: str) -> None:
        row = {"project_id": project_id, **dict.fromkeys(_SUMS, 0)}
        self._session.write(self._session.dialect.insert_missing(project_usage), row)


def _usage(row: Any) -> ProjectUsage:
    return ProjectUsage(**{name: int(value) for name, value in zip(_SUMS, row, strict=True)})


def _parameters(usage: ProjectUsage) -> dict[str, int]:
    return {f"{name}_": getattr(usage, name) for name in _SUMS}


def _shares(rows: Iterable[Sequence[Any]]) -> Iterable[_Share]:
    """Yield what images count, of rows of ``_COUNTED``; those of one image follow each other."""
    image: tuple[Any, ...] | None = None
    copies: list[Copy] = []
    for *facts, store, status, reserved in rows:
        if image is not None and facts[0] != image[0]:
            yield _share_of(image, copies)
            copies = []
        image = tuple(facts)
        if store is not None:
            copies.append(Copy(store, LocationStatus(status), reserved or 0))
    if image is not None:
        yield _share_of(image, copies)


def _share_of(image: tuple[Any, ...], copies: Sequence[Copy]) -> _Share:
    _, owner, status, size = image
    return _Share(owner, used_by(ImageStatus(status), size, copies), kept_of(size, copies))
