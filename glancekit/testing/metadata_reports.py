# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a metadata driver on request (reports.py). Promises are metadata's."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator

import pytest

from glancekit.core.drivers import KINDS, METADATA
from glancekit.plugin import Image, ImageQuery, MetadataDriver
from glancekit.testing import reports
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.reports import Figure, rate


class MetadataReports:
    """Prints what a driver can do, and how fast, when it is asked for."""

    def test_report_table(
        self, driver: MetadataDriver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """For the README of the plugin."""
        reports.wanted("table")
        known = KINDS[METADATA].capabilities
        able = [kind for kind in known if isinstance(driver, kind)]
        reports.show(capsys, "Capabilities\n------------", reports.capability_table(able, known))

    def test_report_speed(
        self, driver: MetadataDriver, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """One caller, units of work of one deed each."""
        reports.wanted("speed")
        memory = MemoryMetadata()
        memory.start()
        lines = reports.beside(list(_figures(driver)), list(_figures(memory)))
        reports.show(capsys, "Speed", lines)


def _figures(driver: MetadataDriver) -> Iterator[Figure]:
    kept: list[str] = []
    turn = itertools.count()

    def add() -> None:
        image = Image(id=str(uuid.uuid4()), owner="p", name="n", properties={"os_distro": "x"})
        with driver.unit_of_work() as work:
            work.images.add(image)
            work.commit()
        kept.append(image.id)

    def show() -> None:
        with driver.unit_of_work(read_only=True) as work:
            work.images.get(kept[next(turn) % len(kept)])

    def page() -> None:
        with driver.unit_of_work(read_only=True) as work:
            work.images.find(ImageQuery(limit=25))

    yield rate("add an image", add)
    yield rate("show an image", show)
    yield rate("list a page of 25", page)
