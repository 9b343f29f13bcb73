# SPDX-License-Identifier: Apache-2.0
"""Whose places are made: those of stores into which no record leads, and no others."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from glancekit.core.errors import StoreUnavailable
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store
from glancekit.services import beginning
from glancekit.services.beginning import begin_new
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.store_liars import AbleStore


@pytest.fixture
def metadata() -> MemoryMetadata:
    metadata = MemoryMetadata(None, name="memory")
    metadata.start()
    return metadata


@pytest.fixture
def driver() -> Iterator[AbleStore]:
    with ExitStack() as closing:
        driver = AbleStore.unbegun()
        closing.callback(driver.close)
        yield driver


def note(metadata: MemoryMetadata, store: str, **facts: object) -> None:
    """Write down a copy of a new image in a store."""
    image_id = str(uuid.uuid4())
    with metadata.unit_of_work() as work:
        work.images.add(Image(id=image_id, owner="p"))
        work.locations.add(Location(url="x:", store=store, image_id=image_id, **facts))
        work.commit()


def is_begun(driver: AbleStore) -> bool:
    try:
        driver.check()
    except StoreUnavailable:
        return False
    return True


def test_a_new_store_s_place_is_made(metadata: MemoryMetadata, driver: AbleStore) -> None:
    note(metadata, "other")
    note(metadata, "other", status=LocationStatus.PENDING_DELETE)
    begin_new(metadata, [Store("plain", MemoryStore()), Store("new", driver)])
    assert is_begun(driver)


@pytest.mark.parametrize("status", LocationStatus)
def test_that_of_a_store_with_a_record_is_not(
    metadata: MemoryMetadata, driver: AbleStore, status: LocationStatus
) -> None:
    """Also where all that is left is to be removed: it would be taken for gone."""
    note(metadata, "old", status=status, audited_at=datetime.now(UTC) + timedelta(days=1))
    begin_new(metadata, [Store("old", driver)])
    assert not is_begun(driver)


def test_that_of_a_store_with_too_many_unfinished_deeds_to_tell_is_not(
    metadata: MemoryMetadata, driver: AbleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "LOOKED_AT", 2)
    for _ in range(2):
        note(metadata, "other", status=LocationStatus.WRITING)
    begin_new(metadata, [Store("new", driver)])
    assert not is_begun(driver)


def test_that_of_a_store_to_which_nothing_is_written_is_not(
    metadata: MemoryMetadata, driver: AbleStore
) -> None:
    begin_new(metadata, [Store("new", driver, read_only=True)])
    assert not is_begun(driver)


def test_a_place_that_cannot_be_made_keeps_nothing_from_starting(
    metadata: MemoryMetadata, driver: AbleStore, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(AbleStore):
        def begin(self) -> None:
            raise StoreUnavailable("no such server")

    broken = Broken.unbegun()
    begin_new(metadata, [Store("broken", broken), Store("new", driver)])
    broken.close()
    assert is_begun(driver)
    assert "the place of store broken cannot be made" in caplog.text
    assert "no such server" in caplog.text
