# SPDX-License-Identifier: Apache-2.0
"""A metadata driver whose units of work are counted. What it keeps is its own business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, cast

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.counters import Calls
from glancekit.core.errors import GlancekitError, MetadataError


class CountedMetadata(MetadataDriver):
    """The driver, and where its calls are counted.

    A unit of work takes from its beginning to its end, what the service does in it included.
    """

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()

    def __init__(self, driver: MetadataDriver, calls: Calls) -> None:
        self._driver = driver
        self._calls = calls

    def start(self) -> None:
        """Get ready for work, as the driver does."""
        with self._calls.counted("start"):
            self._driver.start()

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a new unit of work, to be entered at once."""
        return cast(UnitOfWork, self._counted(read_only))

    def check(self) -> None:
        """Return when the backend answers."""
        with self._calls.counted("check"):
            self._driver.check()

    def close(self) -> None:
        """Let go of connections."""
        self._driver.close()

    @contextmanager
    def _counted(self, read_only: bool) -> Iterator[UnitOfWork]:
        operation = "read" if read_only else "write"
        with (
            self._calls.counted(operation, is_answer=_is_no_fault),
            self._driver.unit_of_work(read_only=read_only) as work,
        ):
            yield work


def _is_no_fault(error: BaseException) -> bool:
    """Say whether it is the service that gave up, or a record that is not as it was thought."""
    return isinstance(error, GlancekitError) and not isinstance(error, MetadataError)
