# SPDX-License-Identifier: Apache-2.0
"""Events in the form that the CloudEvents specification (1.0, JSON) gives them."""

from __future__ import annotations

import json
from typing import Any

from glancekit.plugin import Event

CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"


def body(event: Event, source: str) -> bytes:
    """Return what is sent of an event, the same whenever it is sent."""
    return json.dumps(form(event, source), separators=(",", ":"), sort_keys=True).encode()


def form(event: Event, source: str) -> dict[str, Any]:
    """Return an event as a CloudEvent. Attributes that it has no value for are left out."""
    known = {
        "specversion": "1.0",
        "id": id_of(event),
        "source": source,
        "type": f"glancekit.{event.type}",
        "subject": event.subject,
        "time": event.at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "sequence": f"{event.position or 0:020d}",
        "projectid": event.project_id,
        "userid": event.user_id,
        "requestid": event.request_id,
        "data": dict(event.payload),
    }
    return {name: value for name, value in known.items() if value is not None}


def id_of(event: Event) -> str:
    """Return what an event is known by, however often it is sent."""
    return str(event.position)
