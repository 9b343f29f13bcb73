# SPDX-License-Identifier: Apache-2.0
"""The primary dies and its standby takes over, while threads of a running service write."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest
from glancekit_postgresql_metadata.testing import RealPostgres, RealStandby
from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.testing_fixtures import Backend

from glancekit.plugin import Event, Image, MetadataUnavailable

WRITERS = 4
ENOUGH = 20
"""Images that each writer has to get in before the primary dies, and after."""

PATIENCE = 60.0
"""Seconds that anything of this may take."""


class Pair:
    """Two servers under one URL."""

    def __init__(self, primary: RealPostgres, standby: RealStandby) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def url(self) -> str:
        hosts = "&".join(f"host=127.0.0.1:{one.port}" for one in (self.primary, self.standby))
        return f"postgresql://glance:secret@/glance?{hosts}&target_session_attrs=read-write"

    def fail_over(self) -> None:
        self.primary.kill()
        self.standby.promote()


@pytest.fixture
def pair(server: RealPostgres) -> Iterator[Pair]:
    """A primary and its standby; ``server`` is asked for so that all is skipped where none is."""
    folder = server.folder.parent
    with RealPostgres(folder / "primary", durable=True) as primary:
        primary.make_database("glance")
        with RealStandby(folder / "standby", primary=primary) as standby:
            standby.follow()
            yield Pair(primary, standby)


class Writer(threading.Thread):
    """Adds images one after the other, and knows which were acknowledged."""

    def __init__(self, driver: ServerMetadata, until: threading.Event) -> None:
        super().__init__(daemon=True)
        self._driver = driver
        self._until = until
        self.acknowledged: list[str] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self._until.is_set():
                self._add(str(uuid.uuid4()))
        except BaseException as error:
            self.failure = error
            raise

    def _add(self, image_id: str) -> None:
        try:
            with self._driver.unit_of_work() as work:
                work.images.add(Image(id=image_id, owner="p"))
                work.events.append(Event(type="image.create", subject=image_id))
                work.commit()
        except MetadataUnavailable:
            return  # it may be there or not
        self.acknowledged.append(image_id)


def test_a_failover_loses_nothing_and_needs_no_restart(pair: Pair, backend: Backend) -> None:
    over = threading.Event()
    with closing(
        backend.driver_over(pair.url, patience=PATIENCE / 2, pool_timeout=PATIENCE)
    ) as driver:
        driver.start()
        writers = [Writer(driver, over) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        wait_for_more(writers)
        pair.fail_over()
        wait_for_more(writers)
        over.set()
        for writer in writers:
            writer.join(PATIENCE)
            assert writer.failure is None
    rows = pair.standby.execute("SELECT id FROM images", "glance")
    events = pair.standby.execute("SELECT subject FROM events", "glance")
    assert {image_id for writer in writers for image_id in writer.acknowledged} <= {
        str(row[0]) for row in rows
    }
    assert sorted(rows) == sorted(events), "an image and its event are one commit"


def wait_for_more(writers: list[Writer]) -> None:
    """Wait until each has written some more."""
    wanted = [len(writer.acknowledged) + ENOUGH for writer in writers]
    over = threading.Event()
    for _ in range(int(PATIENCE / 0.05)):
        if all(len(one.acknowledged) >= count for one, count in zip(writers, wanted, strict=True)):
            return
        assert not any(writer.failure for writer in writers)
        over.wait(0.05)
    raise AssertionError([len(writer.acknowledged) for writer in writers])
