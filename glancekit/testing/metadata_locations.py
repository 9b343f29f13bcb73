# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about locations; ``MetadataConformance`` has it in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Conflict, Duplicate
from glancekit.core.model.image import Finding, Location
from glancekit.core.model.status import LocationStatus
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_deeds import an_image
from glancekit.testing.metadata_samples import MORNING, UNICODE


class LocationConformance:
    """What every metadata driver promises about where the bytes of images are."""

    def test_m26_locations(self, driver: MetadataDriver) -> None:
        """M26: round trip, one for each image and store in whatever state, removal, order."""
        image = deeds.keep(driver, an_image(size=11))
        new = Location(
            url="",
            metadata={"text": UNICODE, "deep": {"list": [1, None, True]}},
            store="s1",
            status=LocationStatus.WRITING,
            image_id=image.id,
            holder="host/1/a",
        )
        with driver.unit_of_work() as work:
            first = work.locations.add(new)
            assert first.id is not None
            with pytest.raises(Duplicate):
                work.locations.add(replace(new, status=LocationStatus.PENDING_DELETE))
            second = work.locations.add(replace(new, store="s2", holder=None))
            work.commit()
        with driver.unit_of_work() as work:
            expected = [replace(first, size=11), replace(second, size=11)]
            assert list(work.locations.of_image(image.id)) == expected
            assert work.images.get(image.id).locations == ()
            work.locations.remove(second.id or 0)
            work.locations.remove(second.id or 0)
            assert [row.id for row in work.locations.of_image(image.id)] == [first.id]
            again = work.locations.add(replace(new, store="s2"))
            assert again.id not in (first.id, second.id)

    def test_m27_a_location_is_saved_by_compare_and_set(self, driver: MetadataDriver) -> None:
        """M27: only from the expected status; active ones show in the image, in order."""
        image = deeds.keep(driver, an_image(size=11))
        with driver.unit_of_work() as work:
            rows = [
                work.locations.add(
                    Location(url="", store=store, image_id=image.id, status=LocationStatus.WRITING)
                )
                for store in ("z", "a", "m")
            ]
            done = [
                replace(row, url=f"u-{row.store}", status=LocationStatus.ACTIVE, holder=None)
                for row in rows
            ]
            work.locations.save(done[1], expect_status=LocationStatus.WRITING)
            work.locations.save(done[0], expect_status=LocationStatus.WRITING)
            with pytest.raises(Conflict):
                work.locations.save(done[0], expect_status=LocationStatus.WRITING)
            work.locations.remove(rows[2].id or 0)
            with pytest.raises(Conflict):
                work.locations.save(done[2], expect_status=LocationStatus.WRITING)
            work.commit()
        expected = tuple(replace(row, size=11) for row in done[:2])
        assert deeds.get(driver, image.id).locations == expected
        assert deeds.find(driver)[0].locations == expected

    def test_m47_what_audits_found_of_a_copy(self, driver: MetadataDriver) -> None:
        """M47: noted by compare-and-set, kept by ``save``, gone with what was written anew."""
        image = deeds.keep(driver, an_image(size=11))
        with driver.unit_of_work() as work:
            made = work.locations.add(Location(url="u", store="s", image_id=image.id))
            work.commit()
        assert made.audited_at is not None
        assert (made.verified_at, made.finding, made.reason) == (None, None, "")
        later = made.audited_at + timedelta(seconds=1)
        good = replace(made, audited_at=later, verified_at=later, finding=Finding.GOOD)
        bad = replace(
            good, audited_at=later + timedelta(days=1), finding=Finding.BAD, reason=UNICODE
        )
        with driver.unit_of_work() as work:
            work.locations.note(good, since=made.audited_at)
            for changed in (good, replace(good, url="v"), replace(good, id=(made.id or 0) + 1)):
                with pytest.raises(Conflict):
                    work.locations.note(changed, since=made.audited_at)
            work.locations.note(bad, since=later)
            work.locations.save(replace(made, holder="h"), expect_status=LocationStatus.ACTIVE)
            work.commit()
        (kept,) = deeds.get(driver, image.id).locations
        assert (kept.holder, kept.audited_at, kept.verified_at) == ("h", bad.audited_at, later)
        assert (kept.finding, kept.reason, kept.is_lost) == (Finding.BAD, UNICODE, True)
        assert deeds.find(driver)[0].is_damaged
        writing = LocationStatus.WRITING
        with driver.unit_of_work() as work:
            work.locations.save(replace(kept, status=writing), expect_status=LocationStatus.ACTIVE)
            with pytest.raises(Conflict):
                work.locations.note(bad, since=bad.audited_at)
            work.locations.save(made, expect_status=writing)
            work.commit()
        (anew,) = deeds.get(driver, image.id).locations
        assert (anew.verified_at, anew.finding, anew.reason) == (None, None, "")
        assert anew.audited_at is not None
        assert anew.audited_at < later + timedelta(hours=1)

    def test_m48_copies_by_their_audits(self, driver: MetadataDriver) -> None:
        """M48: of a store those audited the longest ago; those of one finding, page by page."""
        image, other = deeds.keep(driver, an_image()), deeds.keep(driver, an_image())
        rows = {}
        with driver.unit_of_work() as work:
            for name, owner, store, days, finding in (
                ("new", image, "a", 3, Finding.GOOD),
                ("old", other, "a", 1, Finding.BAD),
                ("elsewhere", image, "b", 0, Finding.BAD),
                ("middle", an_image(), "a", 2, None),
            ):
                at = MORNING + timedelta(days=days)
                row = Location(url="u", store=store, image_id=owner.id, audited_at=at)
                rows[name] = work.locations.add(replace(row, finding=finding))
            going = LocationStatus.PENDING_DELETE
            gone = replace(rows["old"], id=None, image_id=an_image().id, status=going)
            rows["gone"] = work.locations.add(gone)
            work.commit()
        with driver.unit_of_work(read_only=True) as work:

            def due(days: int, limit: int = 9) -> list[int | None]:
                before = MORNING + timedelta(days=days)
                return [row.id for row in work.locations.due("a", before=before, limit=limit)]

            names = ("old", "middle", "new")
            assert due(4) == [rows[name].id for name in names]
            assert due(3) == [rows[name].id for name in names[:2]]
            assert due(3, limit=1) == [rows["old"].id]
            assert due(1) == []
            bad = work.locations.found(Finding.BAD, limit=9)
            assert [row.id for row in bad] == [rows[n].id for n in ("old", "elsewhere", "gone")]
            behind = work.locations.found(Finding.BAD, limit=1, after=rows["old"].id or 0)
            assert [row.id for row in behind] == [rows["elsewhere"].id]
            assert list(work.locations.found(Finding.MISSING, limit=9)) == []

    def test_m49_copies_of_many_images_and_of_all(self, driver: MetadataDriver) -> None:
        """M49: by id, in whatever state, deleted images' too; those of no image asked for not."""
        images = [deeds.keep(driver, an_image()) for _ in range(3)]
        with driver.unit_of_work() as work:
            ids = [
                work.locations.add(
                    Location(url="u", store=store, image_id=one.id, status=status)
                ).id
                for one, store, status in (
                    (images[1], "a", LocationStatus.ACTIVE),
                    (images[0], "a", LocationStatus.PENDING_DELETE),
                    (images[2], "a", LocationStatus.ACTIVE),
                    (images[1], "b", LocationStatus.WRITING),
                )
            ]
            work.commit()
        deeds.delete(driver, deeds.get(driver, images[0].id))
        with driver.unit_of_work(read_only=True) as work:

            def of(*wanted: str) -> list[int | None]:
                return [row.id for row in work.locations.of_images(wanted)]

            assert of(images[0].id, images[1].id) == [ids[0], ids[1], ids[3]]
            assert of(images[2].id, an_image().id) == [ids[2]]
            assert of() == []
            assert [row.id for row in work.locations.walk(limit=9)] == ids
            first, second = work.locations.walk(limit=2)
            assert [first.id, second.id] == ids[:2]
            behind = work.locations.walk(limit=9, after=second.id or 0)
            assert [row.id for row in behind] == ids[2:]
            assert behind[0].url == "u"
            assert list(work.locations.walk(limit=9, after=ids[-1] or 0)) == []

    def test_m28_locations_by_status(self, driver: MetadataDriver) -> None:
        """M28: oldest first, those of deleted images too, as many as asked for."""
        kept, gone = deeds.keep(driver, an_image()), deeds.keep(driver, an_image())
        with driver.unit_of_work() as work:
            ids = [
                work.locations.add(
                    Location(url="u", store=store, image_id=one.id, status=status)
                ).id
                for one, store, status in (
                    (gone, "a", LocationStatus.PENDING_DELETE),
                    (kept, "a", LocationStatus.ACTIVE),
                    (kept, "b", LocationStatus.PENDING_DELETE),
                )
            ]
            work.commit()
        deeds.delete(driver, deeds.get(driver, gone.id))
        with driver.unit_of_work(read_only=True) as work:
            waiting = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=10)
            assert [row.id for row in waiting] == [ids[0], ids[2]]
            waiting = work.locations.with_status(LocationStatus.PENDING_DELETE, limit=1)
            assert [row.id for row in waiting] == [ids[0]]
            assert list(work.locations.with_status(LocationStatus.WRITING, limit=9)) == []
