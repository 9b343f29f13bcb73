# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about what took room, and about going through everything;
``MetadataConformance`` has it in it. The clock is the driver's: what a test knows of a moment is
what it was before and after, and ``settle`` is asked for moments to come.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import MetadataError
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.storage_use import BYTE_HOUR, DAY, StorageUse, day_of
from glancekit.testing.metadata_samples import ME, OTHER

_EVER = datetime(1971, 1, 1, tzinfo=UTC)
_NEVER = datetime(2200, 1, 1, tzinfo=UTC)
_LARGE = 1 << 55
"""Bytes: what such a size takes in a day fits into no 64 bits when it is told in microseconds."""


class LedgerConformance:
    """What every metadata driver promises about the ledger, about marks and about walking."""

    def test_m71_what_is_kept_is_entered_to_the_byte(self, driver: MetadataDriver) -> None:
        """M71: from its end of writing on, in each store, for its owner, spread over the days."""
        image = _kept(driver)
        with _around() as written:
            row = _add_copy(driver, image.id, "a", size=_LARGE)
        second = written.after + 2 * DAY + timedelta(seconds=3)
        _settle(driver, second)
        found = _entries(driver)
        assert {(use.project_id, use.store) for use in found} == {(ME, "a")}
        assert [use.day for use in found] == _days(written.before, second)
        assert found[1].amount == _LARGE * 24 * BYTE_HOUR
        assert all(0 <= use.rest < BYTE_HOUR for use in found)
        _assert_took(found, _LARGE, written, _exactly(second))
        with _around() as removed:
            _remove_copy(driver, row)
        _settle(driver, removed.after + 9 * DAY)
        _assert_took(_entries(driver), _LARGE, written, removed)

    def test_m72_what_is_written_or_staged_or_nobodys_is_not_entered(
        self, driver: MetadataDriver
    ) -> None:
        """M72: neither what is on its way in, nor what has no owner, size, or place."""
        with driver.unit_of_work() as work:
            for owner, size in ((None, 5), (ME, None), (ME, 0)):
                image = Image(id=str(uuid.uuid4()), owner=owner, size=size)
                work.images.add(image)
                work.locations.add(Location(url="u", store="a", image_id=image.id))
            image = Image(id=str(uuid.uuid4()), owner=ME, size=5)
            work.images.add(image)
            staged = Location(url="u", store="os_glance_staging_store", image_id=image.id)
            work.locations.add(staged)
            writing = LocationStatus.WRITING
            row = work.locations.add(
                Location(url="", store="b", image_id=image.id, status=writing, holder="h")
            )
            work.quotas.reserve(row, 100)
            work.commit()
        _settle(driver, datetime.now(UTC) + DAY)
        assert _entries(driver) == []

    def test_m73_owners_and_deletions_are_followed(self, driver: MetadataDriver) -> None:
        """M73: who owns an image is charged for it; a deleted one takes nothing any more."""
        image = _kept(driver)
        with _around() as written:
            _add_copy(driver, image.id, "a", size=1000)
        with _around() as given:
            _change(driver, image.id, owner=OTHER)
        with _around() as deleted:
            _change(driver, image.id, status=ImageStatus.DELETED)
        _settle(driver, deleted.after + DAY)
        found = _entries(driver)
        mine = [use for use in found if use.project_id == ME]
        theirs = [use for use in found if use.project_id == OTHER]
        _assert_took(mine, 1000, written, given)
        _assert_took(theirs, 1000, given, deleted)

    def test_m74_entries_do_not_depend_on_when_they_were_made(
        self, driver: MetadataDriver
    ) -> None:
        """M74: settling early, late, often, ahead or by several at once changes nothing."""
        choose = random.Random(74)
        images = [_kept(driver).id for _ in range(3)]
        spans: list[tuple[_Span, _Span]] = []
        for image_id in images:
            with _around() as written:
                row = _add_copy(driver, image_id, "a", size=1000)
            if choose.random() < 0.7:
                _settle(driver, written.after + choose.random() * 3 * DAY)
            with _around() as removed:
                _remove_copy(driver, row)
            spans.append((written, removed))
        end = datetime.now(UTC) + 4 * DAY
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: _settle(driver, end, limit=2), range(4)))
        amount = sum(use.amount for use in _entries(driver))
        least = sum(max(0, _us(gone.before - come.after)) for come, gone in spans)
        most = sum(_us(gone.after - come.before) for come, gone in spans)
        assert 1000 * least <= amount <= 1000 * most
        with driver.unit_of_work() as work:
            assert work.ledger.settle(end, limit=10) == 0

    def test_m75_what_is_not_committed_is_not_entered(self, driver: MetadataDriver) -> None:
        """M75: neither changes nor entries; a read-only unit of work enters nothing."""
        image = _kept(driver)
        with driver.unit_of_work() as work:
            _change_in(work, image.id, size=5)
            work.locations.add(Location(url="u", store="a", image_id=image.id))
        _settle(driver, datetime.now(UTC) + DAY)
        assert _entries(driver) == []
        _add_copy(driver, image.id, "a", size=5)
        end = datetime.now(UTC) + DAY
        with driver.unit_of_work() as work:
            while work.ledger.settle(end, limit=10):
                pass
            assert work.ledger.find(since=_EVER, until=_NEVER, limit=10)
        assert _entries(driver) == []
        use = StorageUse(day=day_of(_EVER), project_id=ME, store="a", byte_hours=1)
        attempts: list[Callable[[UnitOfWork], object]] = [
            lambda work: work.ledger.settle(_NEVER, limit=10),
            lambda work: work.ledger.add(use),
            lambda work: work.ledger.prune(_NEVER),
            lambda work: work.marks.put("m", "text"),
            lambda work: work.marks.put("m", None),
        ]
        for attempt in attempts:
            with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
                attempt(work)

    def test_m76_entries_are_found_in_order_and_forgotten(self, driver: MetadataDriver) -> None:
        """M76: by days, project and store, page by page; added ones are summed; old ones go."""
        first = day_of(datetime(2024, 2, 28, tzinfo=UTC))
        made = [
            StorageUse(
                day=first + number * DAY, project_id=project, store=store, byte_hours=7, rest=1
            )
            for number in range(3)
            for project in (ME, OTHER)
            for store in ("a", "b")
        ]
        with driver.unit_of_work() as work:
            for use in random.Random(76).sample(made, len(made)):
                work.ledger.add(use)
            work.ledger.add(replace(made[0], byte_hours=1 << 60, rest=BYTE_HOUR - 1))
            work.commit()
        made[0] = replace(made[0], byte_hours=(1 << 60) + 8, rest=0)
        assert _entries(driver, limit=5) == made
        assert _entries(driver, project_id=ME, limit=2) == made[0:2] + made[4:6] + made[8:10]
        assert _entries(driver, store="b", limit=2) == made[1::2]
        both = _entries(driver, project_id=OTHER, store="a", since=first + DAY)
        assert both == [made[6], made[10]]
        assert _entries(driver, since=first + DAY, until=first + 2 * DAY) == made[4:8]
        with driver.unit_of_work() as work:
            assert work.ledger.prune(first + DAY + timedelta(hours=5)) == 4
            work.commit()
        assert _entries(driver) == made[4:]

    def test_m77_marks_are_put_and_taken_away(self, driver: MetadataDriver) -> None:
        """M77: each name has its own, which outlives the unit of work."""
        with driver.unit_of_work() as work:
            assert work.marks.get("one") is None
            work.marks.put("one", "1")
            work.marks.put("other", "ü")
            work.marks.put("one", "2")
            assert work.marks.get("one") == "2"
            work.commit()
        with driver.unit_of_work() as work:
            assert (work.marks.get("one"), work.marks.get("other")) == ("2", "ü")
            work.marks.put("one", None)
            work.marks.put("never", None)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:
            assert work.marks.get("one") is None
            assert work.marks.get("other") == "ü"

    def test_m78_walking_visits_every_image_once(self, driver: MetadataDriver) -> None:
        """M78: with its copies, hidden or not, whatever happens to others on the way."""
        hidden = {"os_hidden": True, "properties": {"p": "v"}, "tags": frozenset("t")}
        images = sorted((_kept(driver, **hidden) for _ in range(7)), key=lambda image: image.id)
        _add_copy(driver, images[3].id, "a", size=1)
        _add_copy(driver, images[3].id, "b", size=1)
        seen: list[Image] = []
        while page := _walk(driver, limit=3, after=seen[-1].id if seen else None):
            seen += page
            if len(seen) == 3:
                _change(driver, images[2].id, status=ImageStatus.DELETED)
        assert [image.id for image in seen] == [image.id for image in images]
        assert [location.store for location in seen[3].locations] == ["a", "b"]
        assert seen[4] == images[4]
        assert [image.id for image in _walk(driver, limit=9, after="")] == [
            image.id for image in images if image != images[2]
        ]


# -- small deeds ----------------------------------------------------------------------------------


@dataclass
class _Span:
    """What is known of a moment: it was not before this, and not after that."""

    before: datetime
    after: datetime


def _exactly(moment: datetime) -> _Span:
    return _Span(moment, moment)


@contextmanager
def _around() -> Iterator[_Span]:
    span = _exactly(datetime.now(UTC))
    yield span
    span.after = datetime.now(UTC)


def _us(time: timedelta) -> int:
    return time // timedelta(microseconds=1)


def _days(first: datetime, last: datetime) -> list[datetime]:
    count = (day_of(last) - day_of(first)).days
    return [day_of(first) + number * DAY for number in range(count + 1)]


def _assert_took(entries: list[StorageUse], size: int, begin: _Span, end: _Span) -> None:
    amount = sum(use.amount for use in entries)
    assert amount % size == 0
    assert max(0, _us(end.before - begin.after)) <= amount // size <= _us(end.after - begin.before)


def _kept(driver: MetadataDriver, **facts: Any) -> Image:
    image = Image(**{"id": str(uuid.uuid4()), "owner": ME, **facts})
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    return image


def _add_copy(driver: MetadataDriver, image_id: str, store: str, *, size: int) -> Location:
    """Write a copy as an upload does."""
    writing = LocationStatus.WRITING
    new = Location(url="", store=store, image_id=image_id, status=writing, holder="h")
    with driver.unit_of_work() as work:
        row = work.locations.add(new)
        work.commit()
    done = replace(row, url="u", status=LocationStatus.ACTIVE, holder=None)
    with driver.unit_of_work() as work:
        work.locations.save(done, expect_status=writing)
        _change_in(work, image_id, size=size)
        work.commit()
    return done


def _remove_copy(driver: MetadataDriver, row: Location) -> None:
    """Take a copy away as a deletion does: it takes room until its row is gone."""
    condemned = replace(row, status=LocationStatus.PENDING_DELETE)
    with driver.unit_of_work() as work:
        work.locations.save(condemned, expect_status=LocationStatus.ACTIVE)
        work.commit()
    with driver.unit_of_work() as work:
        work.locations.remove(row.id or 0)
        work.commit()


def _change(driver: MetadataDriver, image_id: str, **facts: Any) -> None:
    with driver.unit_of_work() as work:
        _change_in(work, image_id, **facts)
        work.commit()


def _change_in(work: UnitOfWork, image_id: str, **facts: Any) -> None:
    image = work.images.get(image_id)
    work.images.save(replace(image, **facts), expect_status={image.status})


def _settle(driver: MetadataDriver, until: datetime, *, limit: int = 100) -> None:
    done = 1
    while done:
        with driver.unit_of_work() as work:
            done = work.ledger.settle(until, limit=limit)
            work.commit()


def _entries(
    driver: MetadataDriver,
    *,
    since: datetime = _EVER,
    until: datetime = _NEVER,
    limit: int = 100,
    **narrowed: str,
) -> list[StorageUse]:
    """Return entries that are not nought, read page by page."""
    found: list[StorageUse] = []
    with driver.unit_of_work(read_only=True) as work:
        while page := work.ledger.find(
            since=since,
            until=until,
            limit=limit,
            after=found[-1] if found else None,
            **narrowed,
        ):
            assert len(page) <= limit
            found += page
    return [use for use in found if use.amount]


def _walk(driver: MetadataDriver, *, limit: int, after: str | None) -> list[Image]:
    with driver.unit_of_work(read_only=True) as work:
        return list(work.images.walk(limit=limit, after=after))
