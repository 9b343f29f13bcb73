# SPDX-License-Identifier: Apache-2.0
"""What the kit prints of a store on request (reports.py). Its promises are store's business."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import BytesIO
from typing import Any, ClassVar

import pytest

from glancekit.core.contracts.store import CAPABILITIES
from glancekit.plugin import (
    BlobNotFound,
    FileStream,
    Location,
    SupportsDelete,
    SupportsRange,
    SupportsWrite,
)
from glancekit.testing import reports
from glancekit.testing.memory_store import MemoryStore
from glancekit.testing.reports import Figure, rate

SIZE = 16 << 20
"""Bytes of the image that is moved."""

SMALL = 4096


class StoreReports:
    """Prints what a driver can do, and how fast, when it is asked for."""

    capabilities: ClassVar[Collection[type]]

    def test_report_table(self, capsys: pytest.CaptureFixture[str]) -> None:
        """For the README of the plugin."""
        reports.wanted("table")
        table = reports.capability_table(self.capabilities, CAPABILITIES)
        reports.show(capsys, "Capabilities\n------------", table)

    def test_report_speed(
        self,
        driver: Any,
        put: Callable[[bytes], Location],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """One caller, nothing else at the same time."""
        reports.wanted("speed")
        data = bytes(SIZE)
        location = replace(put(data), size=SIZE)
        memory = MemoryStore()
        kept = replace(memory.write(_new_id(), FileStream(BytesIO(data)), SIZE), size=SIZE)
        known = self.capabilities
        figures = list(_figures(driver, location, data, known))
        floor = list(_figures(memory, kept, data, known))
        reports.show(capsys, "Speed", reports.beside(figures, floor))


def _figures(
    driver: Any, location: Location, data: bytes, known: Collection[type]
) -> Iterator[Figure]:
    def read(opened: Any) -> None:
        with opened as stream:
            for _ in stream:
                pass

    yield rate("read", lambda: read(driver.open(location)), size=len(data))
    if SupportsRange in known:
        yield rate(
            f"range of {SMALL} bytes", lambda: read(driver.open_range(location, SMALL, SMALL))
        )
    yield rate("size", lambda: driver.size(location))
    if SupportsWrite in known and SupportsDelete in known:
        for what, content in (("write and delete", data), ("write and delete 1 byte", b"1")):
            size = len(content) if len(content) > 1 else 0
            yield rate(what, partial(_there_and_gone, driver, content), size=size)


def _there_and_gone(driver: Any, content: bytes) -> None:
    image_id = _new_id()
    location = driver.write(image_id, FileStream(BytesIO(content)), len(content))
    with suppress(BlobNotFound):
        driver.delete(location)


def _new_id() -> str:
    return str(uuid.uuid4())
