# SPDX-License-Identifier: Apache-2.0
"""What happened, as rows of the same transaction (the outbox). Who is told is not its business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from glancekit.core.model.image import NOTHING, now


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact about one thing.

    ``type`` is the field's notification name (``image.create``, ``image.upload`` ...), ``subject``
    the id of the thing, ``payload`` plain JSON values. ``position`` is the place in the outbox,
    rising with each commit; None until stored.
    """

    type: str
    subject: str
    project_id: str | None = None
    user_id: str | None = None
    request_id: str | None = None
    payload: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    at: datetime = field(default_factory=now)
    position: int | None = None
