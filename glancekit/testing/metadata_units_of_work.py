# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about units of work; ``MetadataConformance`` has it in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from glancekit.core.contracts import metadata as contract
from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import ImageNotFound, MetadataError
from glancekit.core.model.events import Event
from glancekit.core.model.image import Location, Member, Tombstone
from glancekit.core.model.listing import ImageQuery
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_deeds import an_image
from glancekit.testing.metadata_samples import ME, MORNING, OTHER


class UnitOfWorkConformance:
    """What every metadata driver promises about what is kept, seen and undone together."""

    def test_m01_leaving_without_commit_rolls_back(self, driver: MetadataDriver) -> None:
        """M1: nothing is kept of a unit of work that did not commit, left well or by an error."""
        image = an_image()
        with driver.unit_of_work() as work:
            deeds.fill(work, image)
        with pytest.raises(ZeroDivisionError), driver.unit_of_work() as work:
            deeds.fill(work, image)
            raise ZeroDivisionError
        with driver.unit_of_work() as work:
            with pytest.raises(ImageNotFound):
                work.images.get(image.id)
            assert list(work.locations.of_image(image.id)) == []
            assert list(work.members.of_image(image.id)) == []
            assert list(work.events.after(0, limit=10)) == []
            assert not work.leases.holders(alive_at=MORNING)
            assert work.images.find(ImageQuery()).images == ()

    def test_m02_commit_shows_all_of_it_at_once(self, driver: MetadataDriver) -> None:
        """M2: others see nothing before the commit and everything after it."""
        image = an_image()
        with driver.unit_of_work() as work:
            deeds.fill(work, image)
            with driver.unit_of_work(read_only=True) as reader:
                assert reader.images.find(ImageQuery()).images == ()
            work.commit()
        with driver.unit_of_work(read_only=True) as reader:
            assert [found.id for found in reader.images.find(ImageQuery()).images] == [image.id]
            assert len(reader.locations.of_image(image.id)) == 1
            assert len(reader.members.of_image(image.id)) == 1
            assert len(reader.events.after(0, limit=10)) == 1
            assert reader.leases.holders(alive_at=MORNING) == {"holder"}

    def test_m03_read_only_refuses_to_write(self, driver: MetadataDriver) -> None:
        """M3: every writing method of a read-only unit of work raises, and nothing is written."""
        image = deeds.keep(driver, an_image())
        member = Member(image_id=image.id, project_id=OTHER)
        place = Location(url="", image_id=image.id, store="s", id=1)
        attempts: list[Callable[[contract.UnitOfWork], object]] = [
            lambda work: work.images.add(an_image()),
            lambda work: work.images.save(image, expect_status={image.status}),
            lambda work: work.images.bury(Tombstone(id="x", owner=ME)),
            lambda work: work.locations.add(place),
            lambda work: work.locations.save(place, expect_status=place.status),
            lambda work: work.locations.remove(1),
            lambda work: work.members.add(member),
            lambda work: work.events.append(Event(type="x", subject="x")),
            lambda work: work.events.advance("listener", 1),
            lambda work: work.events.retain(()),
            lambda work: work.leases.renew("holder", MORNING),
            lambda work: work.leases.release("holder"),
            lambda work: work.leases.prune(MORNING),
        ]
        for attempt in attempts:
            with driver.unit_of_work(read_only=True) as work, pytest.raises(MetadataError):
                attempt(work)
        assert deeds.get(driver, image.id) == image
        assert [found.id for found in deeds.find(driver)] == [image.id]

    def test_m04_read_only_sees_one_state(self, driver: MetadataDriver) -> None:
        """M4: what others commit meanwhile does not show in a read-only unit of work."""
        image = deeds.keep(driver, an_image(name="before"))
        with driver.unit_of_work(read_only=True) as reader:
            assert reader.images.get(image.id).name == "before"
            deeds.save(driver, replace(image, name="after"))
            deeds.keep(driver, an_image())
            assert reader.images.get(image.id).name == "before"
            assert len(reader.images.find(ImageQuery()).images) == 1
        assert deeds.get(driver, image.id).name == "after"

    def test_m05_read_only_may_commit(self, driver: MetadataDriver) -> None:
        """M5: committing what wrote nothing is harmless, in both kinds of unit."""
        for read_only in (False, True):
            with driver.unit_of_work(read_only=read_only) as work:
                work.images.find(ImageQuery())
                work.commit()
