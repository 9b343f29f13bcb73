# SPDX-License-Identifier: Apache-2.0
"""A listener that logs what happened, one line each. Where the lines go is not its business."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from glancekit.plugin import Event, hookimpl

api_level = 1

audit = logging.getLogger("glancekit.audit")


@hookimpl
def after_commit(events: Sequence[Event]) -> None:
    """Log each event with its facts as fields of the record, for collectors that read JSON."""
    for event in events:
        audit.info(
            "%s %s by user %s of project %s",
            event.type,
            event.subject,
            event.user_id or "-",
            event.project_id or "-",
            extra={
                "event": event.type,
                "subject": event.subject,
                "user_id": event.user_id,
                "project_id": event.project_id,
                "request_id": event.request_id,
                "event_at": event.at.isoformat(),
                "position": event.position,
            },
        )
