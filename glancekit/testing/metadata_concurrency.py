# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite about who works at once; ``MetadataConformance`` has it in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import StatusConflict
from glancekit.core.model.status import ImageStatus
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_deeds import an_image, viewer_of
from glancekit.testing.metadata_samples import MORNING


class ConcurrencyConformance:
    """What every metadata driver promises to many who write at once, and about their leases."""

    def test_m33_leases(self, driver: MetadataDriver) -> None:
        """M33: taken, prolonged, run out, given up, forgotten."""
        minute = timedelta(minutes=1)
        with driver.unit_of_work() as work:
            work.leases.renew("a", MORNING)
            work.leases.renew("b", MORNING + 2 * minute)
            work.leases.renew("a", MORNING + minute)
            assert work.leases.holders(alive_at=MORNING) == {"a", "b"}
            assert work.leases.holders(alive_at=MORNING + minute) == {"b"}
            assert work.leases.prune(MORNING + minute) == 0
            assert work.leases.prune(MORNING + 2 * minute) == 1
            assert work.leases.holders(alive_at=MORNING) == {"b"}
            work.leases.release("b")
            work.leases.release("b")
            assert work.leases.holders(alive_at=MORNING) == frozenset()

    def test_m34_no_update_is_lost(self, driver: MetadataDriver) -> None:
        """M34: sixteen threads read, decide and write in one unit of work; none is refused."""
        image = deeds.keep(driver, an_image(min_ram=0))
        threads, each = 16, 8

        def add() -> None:
            for _ in range(each):
                with driver.unit_of_work() as work:
                    read = work.images.get(image.id)
                    changed = replace(read, min_ram=read.min_ram + 1)
                    work.images.save(changed, expect_status={read.status})
                    work.commit()

        deeds.at_once(*[add] * threads)
        assert deeds.get(driver, image.id).min_ram == threads * each

    def test_m35_one_of_many_wins(self, driver: MetadataDriver) -> None:
        """M35: of threads that read first and save later, exactly one gets through."""
        image = deeds.keep(driver, an_image())
        outcomes: list[str] = []

        def claim() -> None:
            with driver.unit_of_work() as work:
                try:
                    saving = replace(image, status=ImageStatus.SAVING)
                    work.images.save(saving, expect_status={ImageStatus.QUEUED})
                    work.commit()
                except StatusConflict:
                    outcomes.append("late")
                else:
                    outcomes.append("won")

        deeds.at_once(*[claim] * 8)
        assert sorted(outcomes) == ["late"] * 7 + ["won"]

    def test_m36_a_storm_of_all_kinds(self, driver: MetadataDriver) -> None:
        """M36: sixteen threads create, list, change and delete; nothing is refused or left."""

        def live(number: int) -> None:
            for _ in range(6):
                image = deeds.keep(driver, an_image(owner=f"p{number}", tags=frozenset("t")))
                found = deeds.find(driver, viewer=viewer_of(f"p{number}"), tags=frozenset("t"))
                assert [one.id for one in found] == [image.id]
                deeds.delete(driver, deeds.save(driver, replace(image, name="changed")))

        deeds.at_once(*(lambda number=number: live(number) for number in range(16)))
        assert deeds.find(driver, os_hidden=None, all_visibilities=True) == []
