# SPDX-License-Identifier: Apache-2.0
"""What is kept of periodic tasks: how each stands, and how its runs went.

What a task does, and who runs it, is the business of ``core/periodic``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicState:
    """How one task stands: in the whole service, or on ``host`` for one that runs on each.

    A run is under way, or was cut off, while ``started_at`` is there and ``ended_at`` is not.
    ``result`` and ``error`` are those of the run that ended last. ``version`` is raised by every
    save; 0 is what nobody has saved yet.
    """

    name: str
    host: str = ""
    is_paused: bool = False
    requested_at: datetime | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    runner: str = ""
    result: str | None = None
    error: str | None = None
    version: int = 0

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and has not ended."""
        return self.started_at is not None and self.ended_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodicRun:
    """A run that is over, as it is remembered. ``error`` says how it failed, if it did."""

    name: str
    runner: str
    started_at: datetime
    ended_at: datetime
    host: str = ""
    result: str | None = None
    error: str | None = None
