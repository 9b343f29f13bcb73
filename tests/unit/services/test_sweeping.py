# SPDX-License-Identifier: Apache-2.0
"""What killed writers left is swept where no record leads to it. What stores find is theirs."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from glancekit.core.contracts.store import Remnant
from glancekit.core.errors import BlobInUse, BlobUnavailable, StoreFailed, StoreUnavailable
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.services.builtins import reaper
from glancekit.services.sweeping import MOST, sweep
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.store_liars import AbleStore


@dataclass
class Place:
    """What sweeping works with: records and one store."""

    metadata: MemoryMetadata
    driver: AbleStore
    stores: Stores


@pytest.fixture
def driver() -> Iterator[AbleStore]:
    driver = AbleStore(name="fast")
    yield driver
    driver.close()


@pytest.fixture
def place(driver: AbleStore) -> Place:
    return place_of(driver)


def place_of(driver: AbleStore, **options: object) -> Place:
    """Mount the driver, beside a store that cannot sweep."""
    metadata = MemoryMetadata(None, name="memory")
    metadata.start()
    options = {"sweep_after": 1e-9, **options}
    stores = Stores([Store("fast", driver, **options), Store("slow", MemoryStore())], "fast")
    return Place(metadata, driver, stores)


def abandoned(driver: AbleStore, count: int = 1) -> list[str]:
    ids = [str(uuid.uuid4()) for _ in range(count)]
    for image_id in ids:
        driver.abandon(image_id)
    return ids


def left(driver: AbleStore) -> list[str | None]:
    return [remnant.image_id for remnant in driver.remnants(0) if remnant is not None]


def test_what_no_record_leads_to_is_swept(place: Place) -> None:
    abandoned(place.driver, 3)
    assert sweep(place) == 3
    assert left(place.driver) == []
    assert sweep(place) == 0


@pytest.mark.parametrize("status", list(LocationStatus))
def test_what_a_writer_is_recorded_for_is_left_to_that_record(
    place: Place, status: LocationStatus
) -> None:
    (image_id,) = abandoned(place.driver)
    with place.metadata.unit_of_work() as work:
        work.images.add(Image(id=image_id, owner="p1", created_at=now(), updated_at=now()))
        work.locations.add(
            Location(url="memory://x", store="fast", image_id=image_id, status=status)
        )
        work.commit()
    sweep(place)
    assert left(place.driver) == ([image_id] if status is LocationStatus.WRITING else [])


def test_a_writer_to_another_store_is_none_to_this_one(place: Place) -> None:
    (image_id,) = abandoned(place.driver)
    with place.metadata.unit_of_work() as work:
        work.images.add(Image(id=image_id, owner="p1", created_at=now(), updated_at=now()))
        work.locations.add(
            Location(url="", store="slow", image_id=image_id, status=LocationStatus.WRITING)
        )
        work.commit()
    assert sweep(place) == 1


@pytest.mark.parametrize("options", [{"sweep_after": 0}, {"sweep_after": 24}, {"read_only": True}])
def test_where_it_is_too_early_or_not_wanted_nothing_is_swept(
    driver: AbleStore, options: dict[str, object]
) -> None:
    ids = abandoned(driver)
    assert sweep(place_of(driver, **options)) == 0
    assert left(driver) == ids


def test_a_dry_run_says_what_it_would_do(
    driver: AbleStore, caplog: pytest.LogCaptureFixture
) -> None:
    (image_id,) = abandoned(driver)
    with caplog.at_level(logging.INFO):
        assert sweep(place_of(driver, sweep_dry_run=True)) == 0
    assert f"store fast: {image_id} would be swept" in caplog.text
    assert left(driver) == [image_id]


def test_one_round_removes_a_limited_number(place: Place) -> None:
    abandoned(place.driver, MOST + 1)
    assert sweep(place) == MOST
    assert sweep(place) == 1


def test_a_store_that_fails_is_left_for_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = abandoned(place.driver)

    def fail(remnant: object) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as broken:
        broken.setattr(place.driver, "sweep", fail)
        assert sweep(place) == 0
    assert left(place.driver) == ids
    assert sweep(place) == 1


@pytest.mark.parametrize("error", [BlobUnavailable("held"), BlobInUse(), StoreFailed("odd")])
def test_one_that_cannot_be_removed_does_not_keep_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    held, *others = abandoned(place.driver, 3)
    real = place.driver.sweep

    def sweep_one(remnant: Remnant) -> None:
        if remnant.image_id == held:
            raise error
        real(remnant)

    monkeypatch.setattr(place.driver, "sweep", sweep_one)
    assert sweep(place) == len(others)
    assert left(place.driver) == [held]


def test_the_reaper_sweeps_now_and_then(place: Place) -> None:
    (_, task) = reaper.register_periodic_tasks(place)
    abandoned(place.driver)
    task.run()
    assert left(place.driver) == []
    assert task.interval == 600


def test_a_dry_run_tells_what_would_be_swept_and_sweeps_nothing(
    place: Place, driver: AbleStore
) -> None:
    abandoned(driver, 2)
    (task,) = [one for one in reaper.register_periodic_tasks(place) if one.name == "sweeping"]  # type: ignore[arg-type]
    assert task.explain is not None
    sentences = list(task.explain())
    assert len(sentences) == 2
    assert all(" goes; it is older than " in sentence for sentence in sentences)
    assert sweep(place) == 2  # type: ignore[arg-type]
    assert list(task.explain()) == []
