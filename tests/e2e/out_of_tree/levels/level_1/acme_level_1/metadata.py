# SPDX-License-Identifier: Apache-2.0
"""The metadata driver ``old``. Until it keeps records in a way of its own, it has a SQLite file
do it: change one method after the other, the tests tell what is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import MetadataDriver, UnitOfWork


class OldMetadata(MetadataDriver):
    """A place for records."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = SqliteMetadata.options

    def __init__(self, options: Any, *, name: str) -> None:
        self._records = SqliteMetadata(options, name=name)

    def start(self) -> None:
        """Get ready for work in this process; make what is not there yet."""
        self._records.start()

    def unit_of_work(self, *, read_only: bool = False) -> UnitOfWork:
        """Return a new unit of work: what is not committed in it never was."""
        return self._records.unit_of_work(read_only=read_only)

    def check(self) -> None:
        """Return when records can be had; what it raises says why not."""
        self._records.check()

    def close(self) -> None:
        """Let go of connections."""
        self._records.close()
