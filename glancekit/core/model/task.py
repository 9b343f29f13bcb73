# SPDX-License-Identifier: Apache-2.0
"""The API's record of work that outlives its request. Doing that work is not its business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from glancekit.core.model.image import NOTHING, now


class TaskType(StrEnum):
    """What kinds of work there are, under the names that clients know."""

    IMPORT = "import"
    API_IMAGE_IMPORT = "api_image_import"
    LOCATION_IMPORT = "location_import"


class TaskStatus(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILURE = "failure"


UNFINISHED = frozenset({TaskStatus.PENDING, TaskStatus.PROCESSING})
"""States of a task that somebody has to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One piece of work. ``input`` and ``result`` are plain JSON values; times in UTC.

    ``holder`` names the lease of the process that is at it, None when nobody is. A task that has
    ended is forgotten at ``expires_at``; while it goes on, ``result`` is its ``TaskState``.
    """

    id: str
    type: TaskType
    status: TaskStatus = TaskStatus.PENDING
    owner: str | None = None
    image_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    input: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    result: Mapping[str, Any] | None = None
    message: str = ""
    holder: str | None = None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """How far work is that has not ended.

    ``done`` of ``total`` bytes of this step (None: unknown), at ``rate`` bytes a second. ``tries``
    counts how often somebody began or went on with it.
    """

    step: str = ""
    done: int = 0
    total: int | None = None
    rate: int = 0
    tries: int = 0

    @property
    def seconds_left(self) -> int | None:
        """How long this step goes on at this rate, None where nobody can say."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) // self.rate

    def as_result(self) -> dict[str, Any]:
        """Return it as a task that has not ended carries it."""
        return {"state": {name: getattr(self, name) for name in _STATE_FIELDS}}

    @classmethod
    def of(cls, task: Task) -> TaskState:
        """Return how far a task is; of one that has ended, or that nobody began, nothing."""
        kept = (task.result or {}).get("state", {})
        return cls(**{name: kept[name] for name in _STATE_FIELDS if name in kept})


_STATE_FIELDS = ("step", "done", "total", "rate", "tries")


TASK_SORT_KEYS = ("created_at", "updated_at", "id", "type", "status")
"""What tasks can be sorted by; the id breaks ties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQuery:
    """A page of tasks as it was asked for; ``marker`` is the id of the last one before it."""

    limit: int = 25
    marker: str | None = None
    sort_key: str = "created_at"
    descending: bool = True
    type: TaskType | None = None
    status: TaskStatus | None = None
