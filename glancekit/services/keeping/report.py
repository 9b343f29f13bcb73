# SPDX-License-Identifier: Apache-2.0
"""What audits have found, for people and programs. Finding it is the business of ``auditing``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from glancekit.core.errors import ImageNotFound, StoreError
from glancekit.core.model.image import Finding, Location, now
from glancekit.core.model.listing import ImageQuery, SortKey
from glancekit.services.keeping.examining import READABLE
from glancekit.services.keeping.orphan_rounds import last_found
from glancekit.services.sweeping import remnants
from glancekit.services.world import World

BATCH = 200
"""Records looked at in one go."""

_WRONG = (Finding.BAD, Finding.MISSING, Finding.UNREADABLE)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far audits of a store are: when the copy was looked at that waits the longest.

    ``oldest`` is None when there is no copy, or one that was never looked at (``is_new``).
    """

    store: str
    is_available: bool
    oldest: datetime | None
    is_new: bool
    is_behind: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: ``kind`` is a finding, ``no record`` or ``two records``."""

    kind: str
    store: str
    image_id: str | None
    is_image_damaged: bool | None
    audited_at: datetime | None
    verified_at: datetime | None
    reason: str


def progress(world: World) -> list[Progress]:
    """Return how far audits of each store are; one indexed look-up each."""
    moment = now()
    found = []
    for store in world.stores:
        with world.metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.due(store.id, before=moment, limit=1)
        oldest = rows[0].audited_at if rows else None
        found.append(
            Progress(
                store=store.id,
                is_available=store.is_available,
                oldest=oldest,
                is_new=bool(rows) and oldest is None,
                is_behind=bool(rows)
                and (oldest is None or oldest < moment - 2 * world.auditing.cycle),
            )
        )
    return found


def problems(world: World) -> Iterator[Problem]:
    """Yield the copies that audits found wrong, and what stores have without a record."""
    for finding in _WRONG:
        yield from _found(world, finding)
    for store in world.stores:
        try:
            for remnant in remnants(world, store):
                reason = f"{remnant.name} leads to no image; it is swept when it is old enough"
                yield _problem("no record", store.id, remnant.image_id, reason)
        except StoreError as error:
            yield _problem("not asked", store.id, None, str(error))
    for found in last_found(world):
        if found.orphans:
            reason = (
                f"{found.orphans} of {found.blobs} images in it lead to no record, with "
                f"{found.bytes} bytes, as of {found.at:%Y-%m-%d %H:%M}; "
                "'glancekit audit orphans' lists them"
            )
            yield _problem("no record", found.store, None, reason)


def doubles(world: World) -> Iterator[Problem]:
    """Yield records that lead to the same bytes as another. Reads all records of images.

    It keeps a number for each copy in memory: some hundred bytes each.
    """
    seen: dict[int, str] = {}
    for copy in _copies(world):
        first = seen.setdefault(hash(copy.url), f"{copy.image_id} in store {copy.store}")
        if copy.url and first != f"{copy.image_id} in store {copy.store}":
            reason = f"its bytes are also those of image {first}"
            yield _problem("two records", copy.store, copy.image_id, reason)


def _found(world: World, finding: Finding) -> Iterator[Problem]:
    last: int | None = 0
    while last is not None:
        with world.metadata.unit_of_work(read_only=True) as work:
            page = work.locations.found(finding, limit=BATCH, after=last)
        for copy in page:
            yield Problem(
                kind=finding.value,
                store=copy.store,
                image_id=copy.image_id,
                is_image_damaged=_is_damaged(world, copy.image_id),
                audited_at=copy.audited_at,
                verified_at=copy.verified_at,
                reason=copy.reason,
            )
        last = page[-1].id if page else None


def _is_damaged(world: World, image_id: str) -> bool | None:
    with world.metadata.unit_of_work(read_only=True) as work:
        try:
            return work.images.get(image_id).is_damaged
        except ImageNotFound:
            return None


def _problem(kind: str, store: str, image_id: str | None, reason: str) -> Problem:
    return Problem(
        kind=kind,
        store=store,
        image_id=image_id,
        is_image_damaged=None,
        audited_at=None,
        verified_at=None,
        reason=reason,
    )


def _copies(world: World) -> Iterator[Location]:
    query = ImageQuery(
        limit=BATCH,
        sort=(SortKey("created_at", descending=False),),
        all_visibilities=True,
        os_hidden=None,
    )
    marker: str | None = None
    while True:
        with world.metadata.unit_of_work(read_only=True) as work:
            page = work.images.find(replace(query, marker=marker))
        for image in page.images:
            if image.status in READABLE:
                yield from image.locations
        if not page.is_full:
            return
        marker = page.images[-1].id
