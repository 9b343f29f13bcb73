# SPDX-License-Identifier: Apache-2.0
"""A metadata driver in memory: for tests, and the plainest reading of the contract there is.

It has no indexes and no cleverness; a list is a filter and a sort. Nothing outlives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any, ClassVar

from glancekit.core.contracts.metadata import (
    EventRepository,
    ImageRepository,
    LeaseRepository,
    LocationRepository,
    MemberRepository,
    MetadataDriver,
    TaskRepository,
    UnitOfWork,
)
from glancekit.core.errors import (
    Conflict,
    Duplicate,
    ImageNotFound,
    MemberNotFound,
    MetadataError,
    MetadataUnavailable,
    StatusConflict,
    TaskNotFound,
)
from glancekit.core.model.events import Event
from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import (
    Finding,
    Image,
    Location,
    Member,
    Tombstone,
    Visibility,
    now,
)
from glancekit.core.model.listing import Comparison, Condition, ImageQuery, Page, SortKey
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    ResourceType,
)
from glancekit.core.model.periodic import PeriodicRun, PeriodicState
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskQuery, TaskStatus, TaskType
from glancekit.testing.memory_caches import MemoryCaches
from glancekit.testing.memory_ledger import Account, MemoryLedger, MemoryMarks
from glancekit.testing.memory_metadefs import MemoryMetadefs
from glancekit.testing.memory_periodic import MemoryPeriodic
from glancekit.testing.memory_quotas import MemoryQuotas

_NEVER = datetime.min.replace(tzinfo=UTC)

_COMPARE: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.EQ: eq,
    Comparison.NEQ: ne,
    Comparison.GT: gt,
    Comparison.GTE: ge,
    Comparison.LT: lt,
    Comparison.LTE: le,
    Comparison.IN: lambda value, wanted: value in wanted,
}


@dataclass
class _State:
    """All records. A unit of work has a copy of its own, which commit puts in their place."""

    images: dict[str, Image] = field(default_factory=dict)
    deleted: dict[str, Tombstone] = field(default_factory=dict)
    locations: dict[int, Location] = field(default_factory=dict)
    members: dict[tuple[str, str], Member] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    cursors: dict[str, int] = field(default_factory=dict)
    leases: dict[str, datetime] = field(default_factory=dict)
    periodic_states: dict[tuple[str, str], PeriodicState] = field(default_factory=dict)
    periodic_runs: dict[int, PeriodicRun] = field(default_factory=dict)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    definitions: dict[tuple[str, DefinitionKind, str], Definition] = field(default_factory=dict)
    associations: dict[tuple[str, str], Association] = field(default_factory=dict)
    resource_types: dict[str, ResourceType] = field(default_factory=dict)
    reservations: dict[int, int] = field(default_factory=dict)
    accounts: dict[Account, tuple[int, datetime]] = field(default_factory=dict)
    storage_use: dict[tuple[datetime, str, str], int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    cached: dict[tuple[str, str], datetime] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)

    def copy(self) -> _State:
        return _State(**{part.name: dict(getattr(self, part.name)) for part in fields(self)})

    def count(self, what: str) -> int:
        self.counters[what] = self.counters.get(what, 0) + 1
        return self.counters[what]


class _Repository:
    def __init__(self, state: _State, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def _writable(self) -> _State:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
        return self._state


class _Images(_Repository, ImageRepository):
    def get(self, image_id: str, *, viewer: Viewer = EVERYBODY) -> Image:
        image = self._state.images.get(image_id)
        if image is None or not self._may_know(viewer, image):
            raise ImageNotFound(image_id=image_id)
        copies = (place for place in self._state.locations.values() if place.image_id == image_id)
        active = (place for place in copies if place.status is LocationStatus.ACTIVE)
        return replace(image, locations=tuple(replace(place, size=image.size) for place in active))

    def find(self, query: ImageQuery) -> Page:
        marker = None if query.marker is None else self.get(query.marker, viewer=query.viewer)
        found = [image for image in self._state.images.values() if self._matches(query, image)]
        if marker is not None and all(image.id != marker.id for image in found):
            found.append(marker)
        for key in reversed(_total(query.sort)):
            found.sort(key=lambda image: _rank(image, key.column), reverse=key.descending)
        if marker is not None:
            found = found[[image.id for image in found].index(marker.id) + 1 :]
        page = tuple(self.get(image.id) for image in found[: query.limit])
        return Page(page, is_full=len(found) > len(page) > 0)

    def walk(self, *, limit: int, after: str | None = None) -> Sequence[Image]:
        ids = sorted(found for found in self._state.images if after is None or found > after)
        return [self.get(found) for found in ids[:limit]]

    def add(self, image: Image) -> None:
        state = self._writable()
        if image.id in state.images or image.id in state.deleted:
            raise Duplicate(kind="image", key=image.id)
        state.images[image.id] = replace(image, locations=())

    def save(self, image: Image, *, expect_status: Collection[ImageStatus]) -> Image:
        state = self._writable()
        stored = self.get(image.id)
        if stored.status not in expect_status:
            wanted = " or ".join(sorted(expect_status))
            raise StatusConflict(image_id=image.id, status=stored.status, wanted=wanted)
        if stored.version != image.version:
            raise Conflict(f"Image {image.id} was changed by somebody else meanwhile")
        state.images[image.id] = replace(
            image, created_at=stored.created_at, updated_at=now(), version=stored.version + 1
        )
        saved = self.get(image.id)
        if image.status is ImageStatus.DELETED:
            del state.images[image.id]
            state.deleted[image.id] = Tombstone(
                id=image.id, owner=stored.owner, deleted_at=saved.updated_at
            )
            for key in [key for key in state.members if key[0] == image.id]:
                del state.members[key]
        return saved

    def bury(self, tombstone: Tombstone) -> bool:
        state = self._writable()
        if tombstone.id in state.images:
            raise Duplicate(kind="image", key=tombstone.id)
        return state.deleted.setdefault(tombstone.id, tombstone) is tombstone

    def buried(self, *, limit: int, after: str | None = None) -> Sequence[Tombstone]:
        ids = sorted(found for found in self._state.deleted if after is None or found > after)
        return [self._state.deleted[found] for found in ids[:limit]]

    def _may_know(self, viewer: Viewer, image: Image) -> bool:
        return (
            viewer.is_admin
            or image.owner in (None, viewer.project_id)
            or image.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY)
            or (image.visibility is Visibility.SHARED and self._member(viewer, image) is not None)
        )

    def _member(self, viewer: Viewer, image: Image) -> Member | None:
        return self._state.members.get((image.id, viewer.project_id or ""))

    def _matches(self, query: ImageQuery, image: Image) -> bool:
        return (
            self._is_in_view(query, image)
            and query.visibility in (None, image.visibility)
            and query.os_hidden in (None, image.os_hidden)
            and query.tags <= image.tags
            and (query.properties or {}).items() <= image.properties.items()
            and all(_holds(condition, image) for condition in query.conditions)
        )

    def _is_in_view(self, query: ImageQuery, image: Image) -> bool:
        if image.owner is not None and image.owner == query.viewer.project_id:
            return True
        if image.visibility is Visibility.COMMUNITY:
            return query.all_visibilities or query.visibility is Visibility.COMMUNITY
        if query.viewer.is_admin or image.visibility is Visibility.PUBLIC:
            return True
        member = self._member(query.viewer, image)
        return (
            image.visibility is Visibility.SHARED
            and member is not None
            and query.member_status in (None, member.status)
        )


def _holds(condition: Condition, image: Image) -> bool:
    value = getattr(image, condition.column)
    return value is not None and bool(_COMPARE[condition.comparison](value, condition.value))


def _total(sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    descending = sort[0].descending if len(sort) == 1 else True
    named = {key.column for key in sort}
    return (*sort, *(SortKey(tie, descending) for tie in ("created_at", "id") if tie not in named))


def _rank(image: Image, column: str) -> tuple[bool, Any]:
    value = getattr(image, column)
    return (True, 0) if value is None else (False, value)


class _Locations(_Repository, LocationRepository):
    def add(self, location: Location) -> Location:
        state = self._writable()
        if any(place.store == location.store for place in self.of_image(location.image_id)):
            key = f"{location.store}' of image '{location.image_id}"
            raise Duplicate(kind="location", key=key)
        made = location.audited_at or now()
        added = replace(location, id=state.count("location"), audited_at=made)
        state.locations[added.id or 0] = added
        return added

    def save(self, location: Location, *, expect_status: LocationStatus) -> None:
        state = self._writable()
        stored = state.locations.get(location.id or 0)
        if stored is None or stored.status is not expect_status:
            raise Conflict(f"Location {location.id} is not {expect_status} any more")
        saved = replace(
            stored,
            url=location.url,
            metadata=location.metadata,
            status=location.status,
            holder=location.holder,
        )
        if LocationStatus.WRITING is stored.status is not saved.status:
            saved = replace(saved, audited_at=now(), verified_at=None, finding=None, reason="")
        state.locations[location.id or 0] = saved

    def note(self, location: Location, *, since: datetime | None) -> None:
        state = self._writable()
        stored = state.locations.get(location.id or 0)
        if (
            stored is None
            or stored.status is not LocationStatus.ACTIVE
            or (stored.url, stored.audited_at) != (location.url, since)
        ):
            raise Conflict(f"Location {location.id} was changed since it was read")
        state.locations[location.id or 0] = replace(
            stored,
            audited_at=location.audited_at,
            verified_at=location.verified_at,
            finding=location.finding,
            reason=location.reason,
        )

    def due(self, store: str, *, before: datetime, limit: int) -> Sequence[Location]:
        active = [
            self._sized(row)
            for row in self._all()
            if row.store == store and row.status is LocationStatus.ACTIVE
        ]
        old = [row for row in active if (row.audited_at or _NEVER) < before]
        return sorted(old, key=lambda row: (row.audited_at or _NEVER, row.id or 0))[:limit]

    def found(self, finding: Finding, *, limit: int, after: int = 0) -> Sequence[Location]:
        rows = [self._sized(row) for row in self._all() if row.finding is finding]
        behind = [row for row in rows if (row.id or 0) > after]
        return sorted(behind, key=lambda row: row.id or 0)[:limit]

    def remove(self, location_id: int) -> None:
        self._writable().locations.pop(location_id, None)

    def of_image(self, image_id: str) -> Sequence[Location]:
        return [self._sized(row) for row in self._all() if row.image_id == image_id]

    def of_images(self, image_ids: Collection[str]) -> Sequence[Location]:
        return [self._sized(row) for row in self._all() if row.image_id in image_ids]

    def walk(self, *, limit: int, after: int = 0) -> Sequence[Location]:
        behind = [self._sized(row) for row in self._all() if (row.id or 0) > after]
        return sorted(behind, key=lambda row: row.id or 0)[:limit]

    def with_status(self, status: LocationStatus, *, limit: int) -> Sequence[Location]:
        return [self._sized(row) for row in self._all() if row.status is status][:limit]

    def _all(self) -> Collection[Location]:
        return self._state.locations.values()

    def _sized(self, row: Location) -> Location:
        image = self._state.images.get(row.image_id)
        return replace(row, size=None if image is None else image.size)


class _Members(_Repository, MemberRepository):
    def add(self, member: Member) -> None:
        state, key = self._writable(), (member.image_id, member.project_id)
        if member.image_id not in state.images:
            raise ImageNotFound(image_id=member.image_id)
        if key in state.members:
            raise Duplicate(kind="member", key=member.project_id)
        state.members[key] = member

    def get(self, image_id: str, project_id: str) -> Member:
        try:
            return self._state.members[image_id, project_id]
        except KeyError:
            raise MemberNotFound(image_id=image_id, project_id=project_id) from None

    def of_image(self, image_id: str) -> Sequence[Member]:
        members = [found for found in self._state.members.values() if found.image_id == image_id]
        return sorted(members, key=lambda member: (member.created_at, member.project_id))

    def save(self, member: Member) -> Member:
        state, stored = self._writable(), self.get(member.image_id, member.project_id)
        saved = replace(stored, status=member.status, updated_at=now())
        state.members[member.image_id, member.project_id] = saved
        return saved

    def remove(self, image_id: str, project_id: str) -> None:
        state = self._writable()
        self.get(image_id, project_id)
        del state.members[image_id, project_id]


class _Tasks(_Repository, TaskRepository):
    def add(self, task: Task) -> None:
        state = self._writable()
        if task.id in state.tasks:
            raise Duplicate(kind="task", key=task.id)
        state.tasks[task.id] = task

    def get(self, task_id: str) -> Task:
        try:
            return self._state.tasks[task_id]
        except KeyError:
            raise TaskNotFound(task_id=task_id) from None

    def find(self, query: TaskQuery) -> Sequence[Task]:
        found = [
            task
            for task in self._state.tasks.values()
            if query.type in (None, task.type) and query.status in (None, task.status)
        ]
        marker = None if query.marker is None else self.get(query.marker)
        if marker is not None and marker not in found:
            found.append(marker)
        found.sort(
            key=lambda task: (getattr(task, query.sort_key), task.id), reverse=query.descending
        )
        if marker is not None:
            found = found[found.index(marker) + 1 :]
        return found[: query.limit]

    def of_image(self, image_id: str) -> Sequence[Task]:
        return [task for task in self._by_age() if task.image_id == image_id]

    def unfinished(self, type: TaskType, *, limit: int) -> Sequence[Task]:
        of_type = (task for task in self._by_age() if task.type is type)
        return [task for task in of_type if task.status in UNFINISHED][:limit]

    def save(self, task: Task, *, expect_status: Collection[TaskStatus]) -> Task:
        state, stored = self._writable(), self.get(task.id)
        if stored.status not in expect_status:
            raise Conflict(f"Task {task.id} is {stored.status} by now")
        saved = replace(
            stored,
            status=task.status,
            result=task.result,
            message=task.message,
            holder=task.holder,
            expires_at=task.expires_at,
            updated_at=now(),
        )
        state.tasks[task.id] = saved
        return saved

    def prune(self, before: datetime, *, limit: int) -> Sequence[Task]:
        state = self._writable()
        over = [
            (task.expires_at, task.id)
            for task in state.tasks.values()
            if task.expires_at and task.expires_at < before
        ]
        return [state.tasks.pop(task_id) for _, task_id in sorted(over)[:limit]]

    def _by_age(self) -> list[Task]:
        return sorted(self._state.tasks.values(), key=lambda task: (task.created_at, task.id))


class _Events(_Repository, EventRepository):
    def append(self, event: Event) -> None:
        state = self._writable()
        position = state.count("event")
        state.events[position] = replace(event, position=position)

    def after(self, position: int, *, limit: int) -> Sequence[Event]:
        return [event for at, event in self._state.events.items() if at > position][:limit]

    def last_position(self) -> int:
        return self._state.counters.get("event", 0)

    def cursor(self, listener: str) -> int:
        return self._state.cursors.get(listener, 0)

    def advance(self, listener: str, position: int) -> None:
        self._writable().cursors[listener] = max(position, self.cursor(listener))

    def retain(self, listeners: Collection[str]) -> None:
        cursors = self._writable().cursors
        for listener in cursors.keys() - set(listeners):
            del cursors[listener]

    def prune(self, before: datetime) -> int:
        state = self._writable()
        told = min(state.cursors.values(), default=self.last_position())
        old = [at for at, event in state.events.items() if event.at < before and at <= told]
        for position in old:
            del state.events[position]
        return len(old)


class _Leases(_Repository, LeaseRepository):
    def renew(self, holder: str, until: datetime) -> None:
        self._writable().leases[holder] = until

    def release(self, holder: str) -> None:
        self._writable().leases.pop(holder, None)

    def holders(self, *, alive_at: datetime) -> frozenset[str]:
        return frozenset(who for who, until in self._state.leases.items() if until > alive_at)

    def prune(self, before: datetime) -> int:
        state = self._writable()
        over = [holder for holder, until in state.leases.items() if until < before]
        for holder in over:
            del state.leases[holder]
        return len(over)


class MemoryUnitOfWork(UnitOfWork):
    """A copy of all records, which takes their place when it is committed."""

    def __init__(self, driver: MemoryMetadata, *, read_only: bool) -> None:
        self._driver = driver
        self._read_only = read_only

    def __enter__(self) -> MemoryUnitOfWork:
        if not self._read_only and not self._driver.writing.acquire(timeout=30):
            raise MetadataUnavailable("another unit of work has been writing for too long")
        self._state = self._driver.state.copy()
        self.images = _Images(self._state, read_only=self._read_only)
        self.locations = _Locations(self._state, read_only=self._read_only)
        self.members = _Members(self._state, read_only=self._read_only)
        self.tasks = _Tasks(self._state, read_only=self._read_only)
        self.events = _Events(self._state, read_only=self._read_only)
        self.leases = _Leases(self._state, read_only=self._read_only)
        self.periodic = MemoryPeriodic(self._state, read_only=self._read_only)
        self.quotas = MemoryQuotas(self._state, read_only=self._read_only)
        self.ledger = MemoryLedger(self._state, read_only=self._read_only)
        self.marks = MemoryMarks(self._state, read_only=self._read_only)
        self.caches = MemoryCaches(self._state, read_only=self._read_only)
        self.metadefs = MemoryMetadefs(self._state, read_only=self._read_only)
        return self

    def commit(self) -> None:
        """See the contract."""
        if not self._read_only:
            self.ledger.note(self._driver.state, now())
            self._driver.state = self._state

    def __exit__(self, *_: object) -> None:
        if not self._read_only:
            self._driver.writing.release()


class MemoryMetadata(MetadataDriver):
    """Records in this process, gone with it."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        self.state = _State()
        self.writing = threading.Lock()

    def start(self) -> None:
        """See the contract."""

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """See the contract."""
        return MemoryUnitOfWork(self, read_only=read_only)

    def check(self) -> None:
        """See the contract."""

    def close(self) -> None:
        """See the contract."""
