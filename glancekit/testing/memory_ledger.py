# SPDX-License-Identifier: Apache-2.0
"""The ledger and the marks in memory. What took room is found out at each commit, by looking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from glancekit.core.contracts.ledger import LedgerRepository, MarkRepository
from glancekit.core.errors import MetadataError
from glancekit.core.model.image import Image, Location
from glancekit.core.quota import Copy
from glancekit.core.storage_use import StorageUse, day_of, kept_of, spread

Account = tuple[str, str]
"""A project and a store."""


class LedgerRecords(Protocol):
    """Where a unit of work of the memory driver has what took room, each under its key."""

    images: dict[str, Image]
    locations: dict[int, Location]
    accounts: dict[Account, tuple[int, datetime]]
    storage_use: dict[tuple[datetime, str, str], int]
    marks: dict[str, str]


class MemoryLedger(LedgerRepository):
    """The ledger in a unit of work's copy of all records."""

    def __init__(self, state: LedgerRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def settle(self, until: datetime, *, limit: int) -> int:
        """See the contract."""
        self._require_writable()
        behind = [key for key, (_, at) in self._state.accounts.items() if at < until][:limit]
        for account in behind:
            self._change(account, 0, until)
        return len(behind)

    def find(
        self,
        *,
        since: datetime,
        until: datetime,
        project_id: str | None = None,
        store: str | None = None,
        after: StorageUse | None = None,
        limit: int,
    ) -> Sequence[StorageUse]:
        """See the contract."""
        found = [
            StorageUse.of(key, amount)
            for key, amount in sorted(self._state.storage_use.items())
            if since <= key[0] < until
            and project_id in (None, key[1])
            and store in (None, key[2])
            and (after is None or key > after.key)
            and amount
        ]
        return found[:limit]

    def add(self, use: StorageUse) -> None:
        """See the contract."""
        self._require_writable()
        self._enter(use.key, use.amount)

    def prune(self, before: datetime) -> int:
        """See the contract."""
        self._require_writable()
        old = [key for key in self._state.storage_use if key[0] < day_of(before)]
        for key in old:
            del self._state.storage_use[key]
        return len(old)

    def note(self, before: LedgerRecords, at: datetime) -> None:
        """Enter what is kept otherwise than in these records, as of a moment."""
        was, now = _kept(before), _kept(self._state)
        for account in sorted(was.keys() | now.keys()):
            change = now.get(account, 0) - was.get(account, 0)
            if change:
                self._change(account, change, at)

    def _change(self, account: Account, change: int, at: datetime) -> None:
        kept, entered = self._state.accounts.get(account, (0, at))
        size, since, until = (kept, entered, at) if at > entered else (change, at, entered)
        for day, took in spread(size, since, until):
            self._enter((day, *account), took)
        self._state.accounts[account] = (kept + change, max(entered, at))

    def _enter(self, key: tuple[datetime, str, str], amount: int) -> None:
        self._state.storage_use[key] = self._state.storage_use.get(key, 0) + amount

    def _require_writable(self) -> None:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")


class MemoryMarks(MarkRepository):
    """Marks in a unit of work's copy of all records."""

    def __init__(self, state: LedgerRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def get(self, name: str) -> str | None:
        """See the contract."""
        return self._state.marks.get(name)

    def put(self, name: str, text: str | None) -> None:
        """See the contract."""
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
        self._state.marks.pop(name, None)
        if text is not None:
            self._state.marks[name] = text


def _kept(records: LedgerRecords) -> Mapping[Account, int]:
    """Return how many bytes each project keeps in each store."""
    copies: defaultdict[str, list[Copy]] = defaultdict(list)
    for row in records.locations.values():
        copies[row.image_id].append(Copy(row.store, row.status))
    kept: defaultdict[Account, int] = defaultdict(int)
    for image in records.images.values():
        for store, size in kept_of(image.size, copies[image.id]).items():
            if image.owner is not None:
                kept[image.owner, store] += size
    return kept
