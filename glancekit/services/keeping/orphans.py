# SPDX-License-Identifier: Apache-2.0
"""Data without rows: finished images in a store that no record leads to.

A store is listed page by page, and each page held against the records, so that memory does not
grow with either. What is suspect is looked at once more by itself, the store first and the records
after it: a writer has its record before its first byte, so what has none then has no writer.
Nothing is removed by what is found: that is an operator's decision.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

from glancekit.core.contracts.store import Blob
from glancekit.core.errors import (
    BlobNotFound,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    Unavailable,
)
from glancekit.core.model.image import Location, now, without_credentials
from glancekit.core.model.task import TaskType
from glancekit.core.stores import Store
from glancekit.core.turns import require_turn
from glancekit.services.world import World

log = logging.getLogger(__name__)

LISTED = 200
"""Blobs whose records are looked up in one query."""

SUSPECTS = 5_000
"""Blobs without a record of their own for which all records are gone through once: another image
may have been registered with their location."""

ROWS = 1_000
"""Records in one step of that."""

TASKS = 10_000
"""Locations that wait to be read and have no record before that; with more, nothing is judged."""

T = TypeVar("T")

_IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """Data without a record, as it was when it was found. ``size`` in bytes, None when unknown.

    ``known_to`` is the id of the last record that there was then.
    """

    store: str
    url: str
    image_id: str
    size: int | None
    modified_at: datetime
    known_to: int = 0

    @property
    def shown_url(self) -> str:
        """The URL as people may see it."""
        return without_credentials(self.url)

    @property
    def location(self) -> Location:
        """The location of the data, as a record would have it."""
        return Location(url=self.url, store=self.store, image_id=self.image_id, size=self.size)


@dataclass(slots=True)
class Tally:
    """What one look at a store came to: finished images in it, those without a record and their
    bytes as far as they are known, and those without one that are too young to be judged."""

    blobs: int = 0
    orphans: int = 0
    bytes: int = 0
    young: int = 0

    def take(self, orphan: Orphan) -> None:
        """Count one."""
        self.orphans += 1
        self.bytes += orphan.size or 0


@dataclass(frozen=True, slots=True)
class Look:
    """A look through a store for what has no record and was left alone for ``age``.

    ``suspects`` is how many are held against all records at a time.
    """

    world: World
    store: Store
    age: timedelta
    tally: Tally = field(default_factory=Tally)
    suspects: int = SUSPECTS

    def orphans(self) -> Iterator[Orphan]:
        """Yield them; ``tally`` goes along.

        :raises CapabilityMissing: when the store cannot be listed.
        :raises StoreError: when the store fails; nothing is said of the rest.
        :raises MetadataError: when records cannot be read.
        :raises Unavailable: when too many locations wait to be read.
        """
        for suspects in _in_batches(self._suspected(), self.suspects):
            others, known_to = _named_by_others(self.world, {blob.image_id for blob in suspects})
            for blob in suspects:
                require_turn()
                if blob.image_id in others:
                    continue
                orphan = self.judge(blob)
                if orphan is not None:
                    self.tally.take(orphan)
                    yield replace(orphan, known_to=known_to)

    def judge(self, blob: Blob) -> Orphan | None:
        """Look at one by itself, as it is now; None when it is none, or none yet.

        The records of its own image are looked at, not those of others.
        """
        location = Location(url=blob.url, store=self.store.id, image_id=blob.image_id)
        try:
            seen = self.store.blob(location)
        except BlobNotFound:
            return None
        assert seen.modified_at is not None  # the store insists on it
        rows = _rows_of(self.world, {blob.image_id})[blob.image_id]
        if any(self._leads_to(row, seen) for row in rows):
            return None
        if seen.modified_at > now() - self.age:
            self.tally.young += 1
            return None
        return Orphan(
            store=self.store.id,
            url=seen.url,
            image_id=seen.image_id,
            size=seen.size,
            modified_at=seen.modified_at,
        )

    def _leads_to(self, row: Location, blob: Blob) -> bool:
        """Say whether a record of the image leads to what the store has of it.

        Whatever its state, one of this store does; so does one of a store that is not configured,
        which may be this one's former name. One of another store does where both are the same
        place: then this one finds the same under that record's URL.
        """
        if row.store not in self.world.stores.by_id:
            return True
        if row.store == self.store.id or row.url == blob.url:
            return True
        if not row.url:
            return False
        try:
            return self.store.blob(row).url == blob.url
        except (BlobNotFound, StoreDenied):
            return False
        except StoreUnavailable:
            raise
        except StoreError as error:  # it may be the same place: nothing is said against it
            log.info("store %s cannot tell what %s is: %s", self.store.id, row.shown_url, error)
            return True

    def _suspected(self) -> Iterator[Blob]:
        """Yield what no record of that very image and store leads to."""
        for page in _in_batches(self.store.contents(), LISTED):
            require_turn()
            self.tally.blobs += len(page)
            rows = _rows_of(self.world, {blob.image_id for blob in page})
            for blob in page:
                if not any(row.store == self.store.id for row in rows[blob.image_id]):
                    yield blob


def is_named_by_now(world: World, orphan: Orphan) -> bool:
    """Say whether a record that was added since, or will be, leads to an orphan."""
    return bool(_named_by_others(world, {orphan.image_id}, after=orphan.known_to)[0])


def _rows_of(world: World, image_ids: Collection[str]) -> Mapping[str, Sequence[Location]]:
    found: dict[str, list[Location]] = defaultdict(list)
    with world.metadata.unit_of_work(read_only=True) as work:
        for row in work.locations.of_images(image_ids):
            found[row.image_id].append(row)
    return found


def _named_by_others(
    world: World, image_ids: Collection[str], *, after: int = 0
) -> tuple[set[str], int]:
    """Return those images whose data a record of another one leads to, in whatever store, and the
    id of the last record.

    The id of an image is in every URL of its data, however it is written. Locations that wait to
    be read have no record yet; they are asked for first, as one that gets its record meanwhile is
    then among the records.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        tasks = work.tasks.unfinished(TaskType.LOCATION_IMPORT, limit=TASKS)
    if len(tasks) == TASKS:
        raise Unavailable(f"{TASKS} locations wait to be read, and may be of what has no record")
    waiting = (found for task in tasks for found in _IDS.findall(str(task.input.get("loc_url"))))
    named = {found for found in waiting if found in image_ids}
    while rows := _rows_behind(world, after):
        require_turn()
        for row in rows:
            ids = _IDS.findall(row.url)
            named.update(one for one in ids if one != row.image_id and one in image_ids)
        after = rows[-1].id or after
    return named, after


def _rows_behind(world: World, after: int) -> Sequence[Location]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.locations.walk(limit=ROWS, after=after)


def _in_batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(things)
    while batch := list(islice(rest, size)):
        yield batch
