# SPDX-License-Identifier: Apache-2.0
"""How much room a project took in a store, and for how long. Who keeps that is not its business.

The measure is exact: a byte that was kept for a microsecond counts one. A day of a large project
does not fit into 64 bits of these, so they are told as whole byte-hours and what is left over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from glancekit.core.model.status import LocationStatus
from glancekit.core.quota import STAGING, Copy

BYTE_HOUR = 3_600_000_000
"""A byte-hour in byte-microseconds."""

DAY = timedelta(days=1)

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageUse:
    """What a project took of one store on one day, which begins at ``day`` (UTC).

    ``rest`` is what is over the last whole one of ``byte_hours``, in byte-microseconds.
    """

    day: datetime
    project_id: str
    store: str
    byte_hours: int
    rest: int = 0

    @property
    def amount(self) -> int:
        """All of it, in byte-microseconds."""
        return self.byte_hours * BYTE_HOUR + self.rest

    @property
    def key(self) -> tuple[datetime, str, str]:
        """Its place in the ledger, and in the order of it."""
        return self.day, self.project_id, self.store

    @classmethod
    def of(cls, key: tuple[datetime, str, str], amount: int) -> StorageUse:
        """Return the entry of so many byte-microseconds."""
        day, project_id, store = key
        byte_hours, rest = divmod(amount, BYTE_HOUR)
        return cls(day=day, project_id=project_id, store=store, byte_hours=byte_hours, rest=rest)


def day_of(moment: datetime) -> datetime:
    """Return the beginning of the day (UTC) that a moment is in."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def spread(size: int, since: datetime, until: datetime) -> Iterator[tuple[datetime, int]]:
    """Yield what ``size`` bytes took from one moment to another: days, byte-microseconds."""
    while since < until:
        day = day_of(since)
        end = min(day + DAY, until)
        yield day, size * ((end - since) // _MICROSECOND)
        since = end


def kept_of(size: int | None, copies: Iterable[Copy]) -> Mapping[str, int]:
    """Return how many bytes of an image are kept in which stores.

    A copy counts from its end of writing until its row is gone: what could not be removed yet
    takes room. What is staged is in no store.
    """
    return {
        copy.store: size
        for copy in copies
        if size
        and copy.status is not LocationStatus.WRITING
        and not copy.store.startswith(STAGING)
    }
