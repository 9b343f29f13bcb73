# SPDX-License-Identifier: Apache-2.0
"""The suite for metadata drivers. A vendor's test is a subclass with a ``driver`` fixture.

Each test has a number, by which ``docs/reference/contracts/metadata.rst`` says what it asks. Data
goes in through the contract alone; nothing here knows what is behind it.
"""

from __future__ import annotations

import inspect
import multiprocessing

import pytest

from glancekit.core.contracts import metadata as contract
from glancekit.core.contracts.caches import CacheRepository
from glancekit.core.contracts.ledger import LedgerRepository, MarkRepository
from glancekit.core.contracts.metadata import MetadataDriver, SupportsMigration
from glancekit.core.contracts.metadefs import MetadefRepository
from glancekit.core.contracts.periodic import PeriodicRepository
from glancekit.core.contracts.quotas import QuotaRepository
from glancekit.core.errors import Duplicate
from glancekit.testing import metadata_deeds as deeds
from glancekit.testing.metadata_caches import CacheConformance
from glancekit.testing.metadata_concurrency import ConcurrencyConformance
from glancekit.testing.metadata_deeds import an_image
from glancekit.testing.metadata_events import EventConformance
from glancekit.testing.metadata_images import ImageConformance
from glancekit.testing.metadata_ledger import LedgerConformance
from glancekit.testing.metadata_lists import ListConformance
from glancekit.testing.metadata_locations import LocationConformance
from glancekit.testing.metadata_periodic import PeriodicConformance
from glancekit.testing.metadata_quotas import QuotaConformance
from glancekit.testing.metadata_reports import MetadataReports
from glancekit.testing.metadata_samples import MORNING, OTHER
from glancekit.testing.metadata_tasks import TaskConformance
from glancekit.testing.metadata_units_of_work import UnitOfWorkConformance
from glancekit.testing.metadata_visibility import VisibilityConformance
from glancekit.testing.metadefs import MetadefConformance


class MetadataConformance(
    UnitOfWorkConformance,
    ImageConformance,
    VisibilityConformance,
    ListConformance,
    LocationConformance,
    EventConformance,
    ConcurrencyConformance,
    TaskConformance,
    MetadefConformance,
    QuotaConformance,
    LedgerConformance,
    PeriodicConformance,
    CacheConformance,
    MetadataReports,
):
    """What every metadata driver must do.

    The subclass gives a fixture ``driver``: a started driver over an empty database, closed again
    afterwards. Unless it sets ``outlives_the_process`` to False, it also gives a fixture
    ``reopen``: a function that starts and returns one more driver over the same data.
    """

    outlives_the_process = True
    """Records are still there for other processes and after a restart."""

    def test_m38_records_outlive_the_driver(
        self, driver: MetadataDriver, request: pytest.FixtureRequest
    ) -> None:
        """M38: another driver over the same data sees what was committed, and continues."""
        self._needs_outliving()
        reopen = request.getfixturevalue("reopen")
        image, gone = an_image(), deeds.keep(driver, an_image())
        with driver.unit_of_work() as work:
            deeds.fill(work, image)
            work.commit()
        deeds.delete(driver, gone)
        expected = deeds.get(driver, image.id)
        driver.close()
        again: MetadataDriver = reopen()
        assert deeds.get(again, image.id) == expected
        with again.unit_of_work() as work:
            assert work.events.last_position() == 1
            assert work.leases.holders(alive_at=MORNING) == {"holder"}
            assert [member.project_id for member in work.members.of_image(image.id)] == [OTHER]
            with pytest.raises(Duplicate):
                work.images.add(gone)

    def test_m37_processes_work_at_once(self, driver: MetadataDriver) -> None:
        """M37: processes forked from this one count together with it and lose nothing."""
        self._needs_outliving()
        image = deeds.keep(driver, an_image(min_ram=0))
        context = multiprocessing.get_context("fork")
        processes = [
            context.Process(target=deeds.count_up, args=(driver, image.id)) for _ in range(3)
        ]
        for process in processes:
            process.start()
        deeds.count_up(driver, image.id)
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert deeds.get(driver, image.id).min_ram == 4 * deeds.TURNS

    def test_m39_start_and_check(self, driver: MetadataDriver) -> None:
        """M39: starting again changes nothing; ``check`` returns."""
        image = deeds.keep(driver, an_image())
        driver.start()
        driver.check()
        assert deeds.get(driver, image.id) == image

    def test_m40_a_started_database_is_current(self, driver: MetadataDriver) -> None:
        """M40: ``version`` is ``head``; upgrading changes nothing, in several threads at once."""
        if not isinstance(driver, SupportsMigration):
            pytest.skip("this driver does not say that it SupportsMigration")
        image = deeds.keep(driver, an_image())
        assert driver.version() == driver.head()
        deeds.at_once(*[driver.upgrade] * 3)
        assert driver.version() == driver.head()
        assert deeds.get(driver, image.id) == image

    def test_m41_signatures_are_the_contract_s(self, driver: MetadataDriver) -> None:
        """M41: every method takes the contract's parameters under their names."""
        _same_signatures(MetadataDriver, driver)
        with driver.unit_of_work(read_only=True) as work:
            _same_signatures(contract.UnitOfWork, work)
            _same_signatures(contract.ImageRepository, work.images)
            _same_signatures(contract.LocationRepository, work.locations)
            _same_signatures(contract.MemberRepository, work.members)
            _same_signatures(contract.TaskRepository, work.tasks)
            _same_signatures(contract.EventRepository, work.events)
            _same_signatures(contract.LeaseRepository, work.leases)
            _same_signatures(PeriodicRepository, work.periodic)
            _same_signatures(MetadefRepository, work.metadefs)
            _same_signatures(QuotaRepository, work.quotas)
            _same_signatures(LedgerRepository, work.ledger)
            _same_signatures(MarkRepository, work.marks)
            _same_signatures(CacheRepository, work.caches)

    def _needs_outliving(self) -> None:
        if not self.outlives_the_process:
            pytest.skip("this driver keeps its records in one process")


def _same_signatures(protocol: type, implementation: object) -> None:
    for name, promised in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(promised):
            continue
        wanted = list(inspect.signature(promised).parameters.values())[1:]
        given = list(inspect.signature(getattr(implementation, name)).parameters.values())
        facts = [(one.name, one.kind, one.default) for one in given]
        assert facts == [(one.name, one.kind, one.default) for one in wanted], name
