# SPDX-License-Identifier: Apache-2.0
"""Usage in memory: the part of the memory driver that counts, each time anew, from the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from glancekit.core.contracts.quotas import QuotaRepository
from glancekit.core.errors import Conflict, MetadataError
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import LocationStatus
from glancekit.core.quota import NOTHING_USED, Copy, ProjectUsage, Recount, used_by


class CountedRecords(Protocol):
    """Where a unit of work of the memory driver has what counts, each record under its key."""

    images: dict[str, Image]
    locations: dict[int, Location]
    reservations: dict[int, int]


class MemoryQuotas(QuotaRepository):
    """Usage in a unit of work's copy of all records."""

    def __init__(self, state: CountedRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def usage(self, project_id: str) -> ProjectUsage:
        """See the contract."""
        total = NOTHING_USED
        for image in self._state.images.values():
            if image.owner == project_id:
                total += used_by(image.status, image.size, self._copies(image.id))
        return total

    def reserve(self, location: Location, amount: int) -> None:
        """See the contract."""
        self._require_writable()
        row = self._writing(location.id or 0)
        if row is None or row.holder != location.holder:
            raise Conflict(f"Location {location.id} is not being written any more")
        self._state.reservations[location.id or 0] = amount

    def reserved(self, location_id: int) -> int:
        """See the contract."""
        writing = self._writing(location_id) is not None
        return self._state.reservations.get(location_id, 0) if writing else 0

    def projects(self) -> Sequence[str]:
        """See the contract."""
        return sorted({image.owner for image in self._state.images.values() if image.owner})

    def recount(self, project_id: str) -> Recount:
        """See the contract. There is no sum that could be wrong."""
        self._require_writable()
        usage = self.usage(project_id)
        return Recount(project_id, usage, usage)

    def _copies(self, image_id: str) -> list[Copy]:
        return [
            Copy(row.store, row.status, self.reserved(number))
            for number, row in self._state.locations.items()
            if row.image_id == image_id
        ]

    def _writing(self, location_id: int) -> Location | None:
        row = self._state.locations.get(location_id)
        return row if row is not None and row.status is LocationStatus.WRITING else None

    def _require_writable(self) -> None:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
