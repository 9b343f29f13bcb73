# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata contract that is about the past: room that was taken, and for how long.

What an image takes is said by ``core/storage_use`` alone. The ledger follows by itself: each
change of images and locations is noted with the same commit, to the microsecond, and ``settle``
adds up.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from glancekit.core.storage_use import StorageUse


class LedgerRepository(Protocol):
    """What projects took of stores, by days (UTC). What nobody owns is in nobody's account."""

    @abstractmethod
    def settle(self, until: datetime, *, limit: int) -> int:
        """Enter what was taken up to a moment, in at most about ``limit`` steps.

        Returns how many steps were done; with 0 everything up to then is entered. Entries do not
        depend on when and how often this is done. Safe when several do it at once.
        """
        ...

    @abstractmethod
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
        """Return entries of the days from one to before another, behind one of them.

        Their order is that of their keys: day, project, store.
        """
        ...

    @abstractmethod
    def add(self, use: StorageUse) -> None:
        """Enter something more, which was taken elsewhere."""
        ...

    @abstractmethod
    def prune(self, before: datetime) -> int:
        """Forget the entries of days before the one that this is in; return how many."""
        ...


class MarkRepository(Protocol):
    """How far work is that goes through everything, for whoever goes on with it."""

    @abstractmethod
    def get(self, name: str) -> str | None:
        """Return the mark of this name, None when there is none."""
        ...

    @abstractmethod
    def put(self, name: str, text: str | None) -> None:
        """Put a mark in the place of that which was there; None takes it away."""
        ...
