# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite that is about usage; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import multiprocessing
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Conflict, MetadataError
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.quota import NOTHING_USED, Copy, ProjectUsage, used_by
from glancekit.testing.metadata_samples import ME, OTHER

_STORES = ("a", "b", "os_glance_staging_store")
_PROJECTS = (ME, OTHER, None)


class QuotaConformance:
    """What every metadata driver promises about usage."""

    outlives_the_process = True

    def test_m61_usage_follows_an_upload(self, driver: MetadataDriver) -> None:
        """M61: what is created, reserved and written counts from then on."""
        image = _an_image()
        _make(driver, image)
        assert _usage(driver) == ProjectUsage(images=1)
        with driver.unit_of_work() as work:
            _change(work, image.id, status=ImageStatus.SAVING)
            row = work.locations.add(_a_copy(image.id, "a"))
            work.quotas.reserve(row, 100)
            assert work.quotas.usage(ME) == ProjectUsage(image_bytes=100, images=1, uploading=1)
            work.commit()
        with driver.unit_of_work() as work:
            work.quotas.reserve(row, 70)
            assert work.quotas.reserved(row.id or 0) == 70
            work.commit()
        assert _usage(driver) == ProjectUsage(image_bytes=70, images=1, uploading=1)
        _activate(driver, row, size=60)
        assert _usage(driver) == ProjectUsage(image_bytes=60, images=1)
        with driver.unit_of_work(read_only=True) as work:
            assert work.quotas.reserved(row.id or 0) == 0

    def test_m69_usage_follows_copies_and_owners(self, driver: MetadataDriver) -> None:
        """M69: each copy counts until its row is gone, for whoever owns the image."""
        image = _an_image()
        _make(driver, image)
        with driver.unit_of_work() as work:
            row = work.locations.add(_a_copy(image.id, "a"))
            work.commit()
        _activate(driver, row, size=60)
        with driver.unit_of_work() as work:
            second = work.locations.add(_a_copy(image.id, "b"))
            work.commit()
        assert _usage(driver) == ProjectUsage(image_bytes=60, images=1, uploading=1)
        with driver.unit_of_work() as work:
            work.locations.save(
                replace(second, status=LocationStatus.ACTIVE), expect_status=LocationStatus.WRITING
            )
            work.commit()
        assert _usage(driver) == ProjectUsage(image_bytes=120, images=1)
        with driver.unit_of_work() as work:
            _change(work, image.id, owner=OTHER)
            work.commit()
        assert (_usage(driver), _usage(driver, OTHER).image_bytes) == (NOTHING_USED, 120)
        with driver.unit_of_work() as work:
            condemned = replace(row, status=LocationStatus.PENDING_DELETE)
            work.locations.save(condemned, expect_status=LocationStatus.ACTIVE)
            assert work.quotas.usage(OTHER).image_bytes == 120
            work.locations.remove(row.id or 0)
            assert work.quotas.usage(OTHER).image_bytes == 60
            _change(work, image.id, status=ImageStatus.DELETED)
            work.commit()
        assert _usage(driver, OTHER) == NOTHING_USED

    def test_m62_a_copy_that_is_given_up_returns_its_reservation(
        self, driver: MetadataDriver
    ) -> None:
        """M62: with the row's state, with the row and with its image a reservation ends."""
        for give_up in (_condemn, _forget, _delete_image):
            image = _an_image()
            _make(driver, image)
            with driver.unit_of_work() as work:
                row = work.locations.add(_a_copy(image.id, "a"))
                work.quotas.reserve(row, 100)
                work.commit()
            with driver.unit_of_work() as work:
                give_up(work, row)
                work.commit()
            assert _usage(driver).image_bytes == 0
            if give_up is not _delete_image:
                with driver.unit_of_work() as work:
                    with pytest.raises(Conflict):
                        work.quotas.reserve(row, 1)
                    assert work.quotas.reserved(row.id or 0) == 0

    def test_m63_reserving_is_for_the_holder(self, driver: MetadataDriver) -> None:
        """M63: whoever is not the row's holder is told of a conflict and changes nothing."""
        image = _an_image()
        _make(driver, image)
        with driver.unit_of_work() as work:
            row = work.locations.add(_a_copy(image.id, "a"))
            with pytest.raises(Conflict):
                work.quotas.reserve(replace(row, holder="another"), 5)
            with pytest.raises(Conflict):
                work.quotas.reserve(replace(row, id=(row.id or 0) + 1), 5)
            assert work.quotas.usage(ME).image_bytes == 0

    def test_m64_what_is_not_committed_does_not_count(self, driver: MetadataDriver) -> None:
        """M64: usage rolls back with what it counts; looking at it is no writing."""
        image = _an_image()
        with driver.unit_of_work() as work:
            work.images.add(image)
            assert work.quotas.usage(ME).images == 1
        assert _usage(driver) == NOTHING_USED
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.quotas.projects()) == []
        _make(driver, image)
        with driver.unit_of_work() as work:
            row = work.locations.add(_a_copy(image.id, "a"))
            work.commit()
        with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
            work.quotas.reserve(row, 1)
        with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
            work.quotas.recount(ME)

    def test_m65_images_without_owner_count_for_nobody(self, driver: MetadataDriver) -> None:
        """M65: they are no project's; given to one, they count for it."""
        image = _an_image(owner=None)
        _make(driver, image)
        with driver.unit_of_work() as work:
            assert list(work.quotas.projects()) == []
            _change(work, image.id, owner=ME)
            work.commit()
        assert _usage(driver) == ProjectUsage(images=1)
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.quotas.projects()) == [ME]

    @pytest.mark.parametrize("seed", range(3))
    def test_m66_usage_is_what_the_records_say(self, driver: MetadataDriver, seed: int) -> None:
        """M66: after any changes in any order the sums are those of the records."""
        choose = random.Random(seed)
        ids: list[str] = []
        for _ in range(40):
            changed = list(ids)
            with driver.unit_of_work() as work:
                for _ in range(choose.randrange(1, 4)):
                    _anything(work, choose, changed)
                if choose.random() < 0.8:
                    work.commit()
                    ids = changed
        with driver.unit_of_work() as work:
            for project in (ME, OTHER):
                true = _true(work, ids, project)
                assert work.quotas.usage(project) == true
                recount = work.quotas.recount(project)
                assert recount.is_right
                assert recount.true == true

    def test_m67_no_thread_gets_past_a_limit(self, driver: MetadataDriver) -> None:
        """M67: sixteen threads that add, look and commit if there is room fill it to the last."""
        threads = 16
        start = threading.Barrier(threads)

        def fill() -> int:
            start.wait()
            return _fill_up(driver)

        with ThreadPoolExecutor(threads) as pool:
            made = [pool.submit(fill) for _ in range(threads)]
            assert sum(one.result() for one in made) == _LIMIT
        assert _usage(driver).images == _LIMIT

    def test_m68_no_process_gets_past_a_limit(self, driver: MetadataDriver) -> None:
        """M68: processes that are forked from one do not either."""
        if not self.outlives_the_process:
            pytest.skip("this driver keeps its records in one process")
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_fill_up, args=(driver,)) for _ in range(2)]
        for process in processes:
            process.start()
        _fill_up(driver)
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert _usage(driver).images == _LIMIT
        with driver.unit_of_work() as work:
            assert work.quotas.recount(ME).is_right


_LIMIT = 50


def _fill_up(driver: MetadataDriver) -> int:
    """Add images until one more would be too many; return how many were added."""
    added = 0
    while True:
        with driver.unit_of_work() as work:
            work.images.add(_an_image())
            if work.quotas.usage(ME).images > _LIMIT:
                return added
            work.commit()
        added += 1


def _an_image(**facts: Any) -> Image:
    return Image(**{"id": str(uuid.uuid4()), "owner": ME, **facts})


def _a_copy(image_id: str, store: str) -> Location:
    status = LocationStatus.WRITING
    return Location(url="", image_id=image_id, store=store, status=status, holder="h")


def _make(driver: MetadataDriver, image: Image) -> None:
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()


def _change(work: UnitOfWork, image_id: str, **facts: Any) -> None:
    image = work.images.get(image_id)
    work.images.save(replace(image, **facts), expect_status={image.status})


def _activate(driver: MetadataDriver, row: Location, *, size: int) -> None:
    with driver.unit_of_work() as work:
        active = replace(row, url="x://a", status=LocationStatus.ACTIVE, holder=None)
        work.locations.save(active, expect_status=LocationStatus.WRITING)
        _change(work, row.image_id, status=ImageStatus.ACTIVE, size=size)
        work.commit()


def _usage(driver: MetadataDriver, project: str = ME) -> ProjectUsage:
    with driver.unit_of_work(read_only=True) as work:
        return work.quotas.usage(project)


def _condemn(work: UnitOfWork, row: Location) -> None:
    leftover = replace(row, status=LocationStatus.PENDING_DELETE, holder=None)
    work.locations.save(leftover, expect_status=LocationStatus.WRITING)


def _forget(work: UnitOfWork, row: Location) -> None:
    work.locations.remove(row.id or 0)


def _delete_image(work: UnitOfWork, row: Location) -> None:
    _change(work, row.image_id, status=ImageStatus.DELETED)


def _anything(work: UnitOfWork, choose: random.Random, ids: list[str]) -> None:
    """Do one thing of all that change what counts."""
    if not ids or choose.random() < 0.2:
        image = _an_image(owner=choose.choice(_PROJECTS))
        work.images.add(image)
        ids.append(image.id)
        return
    image_id = choose.choice(ids)
    rows = list(work.locations.of_image(image_id))
    act = choose.randrange(6)
    if act == 0:
        _change(work, image_id, status=ImageStatus.DELETED)
        ids.remove(image_id)
    elif act == 1:
        _change(work, image_id, owner=choose.choice(_PROJECTS))
    elif act == 2:
        _change(
            work,
            image_id,
            status=choose.choice([ImageStatus.SAVING, ImageStatus.IMPORTING, ImageStatus.ACTIVE]),
            size=choose.choice([None, 0, 7, 1 << 40]),
        )
    elif act == 3 or not rows:
        free = sorted(set(_STORES) - {row.store for row in rows})
        for store in free[:1]:
            work.locations.add(
                replace(_a_copy(image_id, store), status=choose.choice(list(LocationStatus)))
            )
    elif act == 4:
        work.locations.remove(choose.choice(rows).id or 0)
    else:
        _change_row(work, choose, choose.choice(rows))


def _change_row(work: UnitOfWork, choose: random.Random, row: Location) -> None:
    if row.status is LocationStatus.WRITING and choose.random() < 0.6:
        work.quotas.reserve(row, choose.randrange(1 << 30))
    else:
        changed = replace(row, status=choose.choice(list(LocationStatus)))
        work.locations.save(changed, expect_status=row.status)


def _true(work: UnitOfWork, ids: list[str], project: str) -> ProjectUsage:
    total = NOTHING_USED
    for image_id in ids:
        image = work.images.get(image_id)
        if image.owner == project:
            copies = [
                Copy(row.store, row.status, work.quotas.reserved(row.id or 0))
                for row in work.locations.of_image(image_id)
            ]
            total += used_by(image.status, image.size, copies)
    return total
