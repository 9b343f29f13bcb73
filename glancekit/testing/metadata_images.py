# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about images; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Conflict, Duplicate, ImageNotFound, StatusConflict
from glancekit.core.model.image import Location, Member, Tombstone, Visibility
from glancekit.core.model.listing import Comparison, Condition
from glancekit.core.model.status import ImageStatus
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_deeds import an_image, viewer_of
from glancekit.testing.metadata_samples import ME, MORNING, OTHER, UNICODE


class ImageConformance:
    """What every metadata driver promises about one image."""

    def test_m06_an_image_comes_back_as_it_was(self, driver: MetadataDriver) -> None:
        """M6: every attribute, with its type, to the microsecond and the last code point."""
        full = an_image(
            status=ImageStatus.ACTIVE,
            visibility=Visibility.COMMUNITY,
            name=UNICODE,
            disk_format="qcow2",
            container_format="bare",
            size=(1 << 62) + 1,
            virtual_size=1 << 62,
            checksum="d" * 32,
            os_hash_algo="sha512",
            os_hash_value="e" * 128,
            min_disk=7,
            min_ram=(1 << 31) - 1,
            protected=True,
            os_hidden=True,
            created_at=MORNING,
            updated_at=MORNING + timedelta(microseconds=1),
            properties={UNICODE: UNICODE, "empty": "", "long": "ü" * (1 << 15)},
            tags=frozenset({UNICODE, "a", "A", "a "}),
        )
        for image in (full, an_image(), an_image(owner=None)):
            assert deeds.keep(driver, image) == image
            assert type(deeds.get(driver, image.id).protected) is bool

    def test_m07_an_id_is_given_out_once(self, driver: MetadataDriver) -> None:
        """M7: ``Duplicate`` while an image has the id and for ever after; nothing is changed."""
        image = deeds.keep(driver, an_image(name="first"))
        other = deeds.keep(driver, an_image())
        with driver.unit_of_work() as work:
            with pytest.raises(Duplicate):
                work.images.add(an_image(id=image.id, name="second"))
            work.images.save(replace(other, name="meanwhile"), expect_status={other.status})
            work.commit()
        assert deeds.get(driver, image.id) == image
        assert deeds.get(driver, other.id).name == "meanwhile"
        assert len(deeds.find(driver)) == 2
        deeds.delete(driver, image)
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.images.add(an_image(id=image.id))

    def test_m08_save_replaces_and_tells_what_is_kept(self, driver: MetadataDriver) -> None:
        """M8: ``save`` returns what ``get`` returns then; version and updated_at rise."""
        image = deeds.keep(driver, an_image(properties={"a": "1", "b": "2"}, tags=frozenset("xy")))
        with driver.unit_of_work() as work:
            work.locations.add(Location(url="u", store="s", image_id=image.id))
            wanted = replace(
                image,
                status=ImageStatus.ACTIVE,
                owner=OTHER,
                visibility=Visibility.PUBLIC,
                name="new",
                size=9,
                properties={"b": "3"},
                tags=frozenset("yz"),
            )
            saved = work.images.save(wanted, expect_status={image.status})
            assert work.images.get(image.id) == saved
            work.commit()
        assert deeds.get(driver, image.id) == saved
        assert saved.updated_at > image.updated_at
        assert saved.version > image.version
        assert [place.size for place in saved.locations] == [9]
        alike = replace(saved, updated_at=image.updated_at, version=image.version, locations=())
        assert alike == wanted

    def test_m09_save_is_a_compare_and_set(self, driver: MetadataDriver) -> None:
        """M9: another status, another version and an image that is gone are told apart."""
        image = deeds.keep(driver, an_image())
        with driver.unit_of_work() as work:
            with pytest.raises(StatusConflict) as told:
                work.images.save(image, expect_status={ImageStatus.ACTIVE, ImageStatus.SAVING})
            assert told.value.status == ImageStatus.QUEUED
            newer = work.images.save(image, expect_status={ImageStatus.QUEUED})
            with pytest.raises(Conflict) as lost:
                work.images.save(replace(image, name="x"), expect_status={ImageStatus.QUEUED})
            assert not isinstance(lost.value, StatusConflict)
            work.images.save(newer, expect_status={ImageStatus.ACTIVE, ImageStatus.QUEUED})
            with pytest.raises(ImageNotFound):
                work.images.save(an_image(), expect_status=set(ImageStatus))
            work.commit()
        assert deeds.get(driver, image.id).name is None
        deeds.delete(driver, deeds.get(driver, image.id))
        with driver.unit_of_work() as work, pytest.raises(ImageNotFound):
            work.images.save(image, expect_status=set(ImageStatus))

    def test_m10_a_deleted_image_is_gone(self, driver: MetadataDriver) -> None:
        """M10: from ``get``, from every list, with its members; its location rows stay."""
        image = deeds.keep(driver, an_image(name="n", properties={"a": "1"}, tags=frozenset("t")))
        with driver.unit_of_work() as work:
            work.locations.add(Location(url="u", store="s", image_id=image.id))
            work.members.add(Member(image_id=image.id, project_id=OTHER))
            work.commit()
        deeds.delete(driver, deeds.get(driver, image.id))
        with pytest.raises(ImageNotFound):
            deeds.get(driver, image.id)
        queries: tuple[dict[str, Any], ...] = (
            {},
            {"tags": frozenset("t")},
            {"properties": {"a": "1"}},
            {"conditions": (Condition("name", Comparison.EQ, "n"),)},
            {"viewer": viewer_of(OTHER), "member_status": None},
        )
        for query in queries:
            assert deeds.find(driver, **query) == []
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.members.of_image(image.id)) == []
            (row,) = work.locations.of_image(image.id)
            assert (row.url, row.size) == ("u", None)

    def test_m43_ids_of_elsewhere_stay_taken(self, driver: MetadataDriver) -> None:
        """M43: a buried id is never given out; all that are buried come in pages, each once."""
        deleted = deeds.keep(driver, an_image())
        living = deeds.keep(driver, an_image())
        deeds.delete(driver, deleted)
        old = [
            Tombstone(id=str(uuid.uuid4()), owner=owner, deleted_at=MORNING)
            for owner in (ME, OTHER, None)
        ]
        with driver.unit_of_work() as work:
            assert [work.images.bury(tombstone) for tombstone in old] == [True] * 3
            assert not work.images.bury(replace(old[0], deleted_at=MORNING + timedelta(1)))
            with pytest.raises(Duplicate):
                work.images.bury(Tombstone(id=living.id, owner=ME))
            work.commit()
        assert deeds.get(driver, living.id) == living
        with driver.unit_of_work() as work, pytest.raises(Duplicate):
            work.images.add(an_image(id=old[1].id))
        found: list[Tombstone] = []
        with driver.unit_of_work(read_only=True) as work:
            while page := work.images.buried(limit=3, after=found[-1].id if found else None):
                found += page
        assert len(found) == 4
        assert {one.id: one for one in found}.keys() == {deleted.id, *(one.id for one in old)}
        for tombstone in old:
            assert tombstone in found
