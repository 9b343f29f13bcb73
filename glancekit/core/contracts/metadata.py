# SPDX-License-Identifier: Apache-2.0
"""The metadata contract: where records live.

Policies, quotas and the meaning of events are not its business.

Everything happens in a unit of work, which is one transaction::

    with metadata.unit_of_work() as work:
        image = work.images.get(image_id)
        work.images.save(replace(image, name="x"), expect_status={image.status})
        work.events.append(Event(type="image.update", subject=image_id))
        work.commit()

Leaving the block without ``commit()`` rolls back. A unit of work is for one thread. A writing one
begins as a writing transaction, so that a decision taken from what it read still holds when it
writes; a read-only one sees one consistent state and refuses to write.

What every driver raises: ``MetadataUnavailable`` when the backend does not answer or is too busy
(nothing was changed), ``SchemaMismatch`` when the schema is not the one it was written for.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.contracts.caches import CacheRepository
from glancekit.core.contracts.ledger import LedgerRepository, MarkRepository
from glancekit.core.contracts.metadefs import MetadefRepository
from glancekit.core.contracts.periodic import PeriodicRepository
from glancekit.core.contracts.quotas import QuotaRepository
from glancekit.core.model.events import Event
from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import Finding, Image, Location, Member, Tombstone
from glancekit.core.model.listing import ImageQuery, Page
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.model.task import Task, TaskQuery, TaskStatus, TaskType


class ImageRepository(Protocol):
    """Image records, with their properties, tags and active locations."""

    @abstractmethod
    def get(self, image_id: str, *, viewer: Viewer = EVERYBODY) -> Image:
        """Return one image that is not deleted; a writing unit of work holds it until its end.

        A viewer sees its own images, those without owner, public and community ones, and shared
        ones of which it is a member in whatever state.

        :raises ImageNotFound: when there is none that the viewer may know of.
        """
        ...

    @abstractmethod
    def find(self, query: ImageQuery) -> Page:
        """Return a page in the query's order. Its cost does not grow with the number of images.

        :raises ImageNotFound: when the marker is no image that the viewer may know of.
        """
        ...

    @abstractmethod
    def walk(self, *, limit: int, after: str | None = None) -> Sequence[Image]:
        """Return images in an order of their ids, from behind one id, be it an image's or not.

        So all are visited that are there from the first step to the last, at a cost that does not
        grow with their number.
        """
        ...

    @abstractmethod
    def add(self, image: Image) -> None:
        """Keep a new image (its ``locations`` are not looked at).

        :raises Duplicate: when an image has or ever had this id.
        """
        ...

    @abstractmethod
    def save(self, image: Image, *, expect_status: Collection[ImageStatus]) -> Image:
        """Replace a record's attributes, properties and tags, and return it as saved.

        The compare-and-set: it happens only if the stored image has one of these states and the
        ``version`` that the caller read. ``updated_at`` is set to now and ``version`` raised.
        Locations are left alone. Status ``deleted`` takes the image away for good; its id stays
        taken.

        :raises StatusConflict: when the stored status is another.
        :raises Conflict: when somebody else saved in between.
        :raises ImageNotFound: when it is gone.
        """
        ...

    @abstractmethod
    def bury(self, tombstone: Tombstone) -> bool:
        """Know an id as used, of an image that was deleted elsewhere; return whether it is news.

        :raises Duplicate: when an image has this id.
        """
        ...

    @abstractmethod
    def buried(self, *, limit: int, after: str | None = None) -> Sequence[Tombstone]:
        """Return what remains of deleted images, in an order of their ids, from behind one id."""
        ...


class LocationRepository(Protocol):
    """Copies of images' bytes, in all states."""

    @abstractmethod
    def add(self, location: Location) -> Location:
        """Keep a new one, with all that the core stamps; return it with ``id``.

        One without ``audited_at`` gets the present moment: a copy is due for its first audit a
        cycle after it was made.

        :raises Duplicate: when this image has a row, in whatever state, in that store already.
        """
        ...

    @abstractmethod
    def save(self, location: Location, *, expect_status: LocationStatus) -> None:
        """Replace a row's url, metadata, status and holder if it still has the expected status.

        What audits found stays, but for a row that was ``writing`` and is so no longer: it is
        audited as of now, and nothing was found.

        :raises Conflict: when it has another, or is gone.
        """
        ...

    @abstractmethod
    def note(self, location: Location, *, since: datetime | None) -> None:
        """Write down what an audit found of an active copy: its four attributes for that.

        The compare-and-set: it happens only if the row is still active, has this url, and was not
        audited again ``since`` the audit (its ``audited_at``) that the caller knew of.

        :raises Conflict: when it is not so any more, or the row is gone.
        """
        ...

    @abstractmethod
    def due(self, store: str, *, before: datetime, limit: int) -> Sequence[Location]:
        """Return active rows of a store that were audited before this, the longest ago first.

        Those that never were come first. The cost does not grow with the number of rows.
        """
        ...

    @abstractmethod
    def found(self, finding: Finding, *, limit: int, after: int = 0) -> Sequence[Location]:
        """Return rows of which audits found this, in whatever state, by id, from behind one id.

        The cost does not grow with the number of other rows.
        """
        ...

    @abstractmethod
    def remove(self, location_id: int) -> None:
        """Forget a row; harmless when it is gone."""
        ...

    @abstractmethod
    def of_image(self, image_id: str) -> Sequence[Location]:
        """Return all rows of an image, deleted ones' included, oldest first."""
        ...

    @abstractmethod
    def of_images(self, image_ids: Collection[str]) -> Sequence[Location]:
        """Return all rows of some hundred images at most, deleted ones' included, by id."""
        ...

    @abstractmethod
    def walk(self, *, limit: int, after: int = 0) -> Sequence[Location]:
        """Return rows in whatever state, by id, from behind one id.

        So all are visited that are there from the first step to the last, and all that are added
        before it, at a cost that does not grow with their number.
        """
        ...

    @abstractmethod
    def with_status(self, status: LocationStatus, *, limit: int) -> Sequence[Location]:
        """Return rows in a state, oldest first."""
        ...


class MemberRepository(Protocol):
    """With whom images are shared."""

    @abstractmethod
    def add(self, member: Member) -> None:
        """Share an image.

        :raises Duplicate: when it is shared with that project already.
        """
        ...

    @abstractmethod
    def get(self, image_id: str, project_id: str) -> Member:
        """Return one member.

        :raises MemberNotFound: when there is no such member.
        """
        ...

    @abstractmethod
    def of_image(self, image_id: str) -> Sequence[Member]:
        """Return all members of an image, oldest first."""
        ...

    @abstractmethod
    def save(self, member: Member) -> Member:
        """Replace a member's status, and return it with its new ``updated_at``.

        :raises MemberNotFound: when it is gone.
        """
        ...

    @abstractmethod
    def remove(self, image_id: str, project_id: str) -> None:
        """Stop sharing.

        :raises MemberNotFound: when there is no such member.
        """
        ...


class EventRepository(Protocol):
    """The outbox. Events of one commit keep their order; none shows before it is committed."""

    @abstractmethod
    def append(self, event: Event) -> None:
        """Add an event to this transaction."""
        ...

    @abstractmethod
    def after(self, position: int, *, limit: int) -> Sequence[Event]:
        """Return events behind a position, in order."""
        ...

    @abstractmethod
    def last_position(self) -> int:
        """Return the position of the newest event, 0 when there never was one."""
        ...

    @abstractmethod
    def cursor(self, listener: str) -> int:
        """Return how far a listener has been told, 0 at first."""
        ...

    @abstractmethod
    def advance(self, listener: str, position: int) -> None:
        """Remember that a listener has been told up to here."""
        ...

    @abstractmethod
    def retain(self, listeners: Collection[str]) -> None:
        """Forget the cursors of all other listeners, so that these hold nothing back any more."""
        ...

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Forget events older than this that every known listener was told; return how many."""
        ...


class LeaseRepository(Protocol):
    """Which processes are alive: each renews its lease, and one that ran out has died."""

    @abstractmethod
    def renew(self, holder: str, until: datetime) -> None:
        """Take or prolong a lease."""
        ...

    @abstractmethod
    def release(self, holder: str) -> None:
        """Give it up; harmless when it is gone."""
        ...

    @abstractmethod
    def holders(self, *, alive_at: datetime) -> frozenset[str]:
        """Return those whose lease runs beyond a moment."""
        ...

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Forget leases that ran out before this; return how many."""
        ...


class TaskRepository(Protocol):
    """Work that outlives its request."""

    @abstractmethod
    def add(self, task: Task) -> None:
        """Keep a new task.

        :raises Duplicate: when there is one of this id.
        """
        ...

    @abstractmethod
    def get(self, task_id: str) -> Task:
        """Return one task; a writing unit of work holds it until its end.

        :raises TaskNotFound: when there is none.
        """
        ...

    @abstractmethod
    def find(self, query: TaskQuery) -> Sequence[Task]:
        """Return a page in the query's order, ties by id in the same direction.

        :raises TaskNotFound: when there is no task that the marker names.
        """
        ...

    @abstractmethod
    def of_image(self, image_id: str) -> Sequence[Task]:
        """Return all tasks about an image, oldest first."""
        ...

    @abstractmethod
    def unfinished(self, type: TaskType, *, limit: int) -> Sequence[Task]:
        """Return tasks of a type that have not ended, oldest first."""
        ...

    @abstractmethod
    def save(self, task: Task, *, expect_status: Collection[TaskStatus]) -> Task:
        """Replace status, result, message, holder and expiry, and return it as saved.

        ``updated_at`` is set to now.

        :raises Conflict: when its stored status is another.
        :raises TaskNotFound: when it is gone.
        """
        ...

    @abstractmethod
    def prune(self, before: datetime, *, limit: int) -> Sequence[Task]:
        """Forget tasks that expired before this, those first that did first; return them."""
        ...


class UnitOfWork(AbstractContextManager["UnitOfWork"], Protocol):
    """One transaction."""

    images: ImageRepository
    locations: LocationRepository
    members: MemberRepository
    tasks: TaskRepository
    events: EventRepository
    leases: LeaseRepository
    periodic: PeriodicRepository
    metadefs: MetadefRepository
    quotas: QuotaRepository
    ledger: LedgerRepository
    marks: MarkRepository
    caches: CacheRepository

    @abstractmethod
    def commit(self) -> None:
        """Make it all true, durably. Called once, as the last thing in the block."""
        ...


@runtime_checkable
class MetadataDriver(Protocol):
    """A place for records. Built as ``Driver(options, name=...)``; ``__init__`` does no work."""

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()

    @abstractmethod
    def start(self) -> None:
        """Get ready for work in this process; make the schema where there is none yet.

        Safe in several processes at once.

        :raises SchemaMismatch: when the schema is there but of another revision.
        """
        ...

    @abstractmethod
    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a new unit of work, to be entered at once."""
        ...

    @abstractmethod
    def check(self) -> None:
        """Return when the backend answers; what it raises says why it does not."""
        ...

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; the driver is not used afterwards."""
        ...


@runtime_checkable
class SupportsMigration(Protocol):
    """The schema has revisions, which ``glancekit db`` shows and applies."""

    @abstractmethod
    def version(self) -> str | None:
        """Return the revision of the database, None when it is empty.

        :raises SchemaMismatch: when it is not glancekit's, or a newer release changed it.
        """
        ...

    @abstractmethod
    def head(self) -> str:
        """Return the revision that this release needs."""
        ...

    @abstractmethod
    def upgrade(self) -> None:
        """Bring the database to ``head``; safe when called again or by two at once."""
        ...


@runtime_checkable
class SupportsDowngrade(Protocol):
    """The schema can be brought back to that of an earlier release."""

    @abstractmethod
    def undone_by_downgrade(self, revision: str) -> Sequence[str]:
        """Say of each revision that would be undone what it had brought, the newest first.

        :raises SchemaMismatch: when the database is not behind that revision.
        """
        ...

    @abstractmethod
    def downgrade(self, revision: str) -> None:
        """Undo revisions down to an earlier one; what was kept in what they brought is lost.

        :raises SchemaMismatch: when the database is not behind that revision.
        """
        ...


@runtime_checkable
class SupportsStatistics(Protocol):
    """The backend can say how much it keeps."""

    @abstractmethod
    def statistics(self) -> Mapping[str, int]:
        """Return the number of rows of each table; it may take a while."""
        ...
