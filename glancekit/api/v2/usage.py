# SPDX-License-Identifier: Apache-2.0
"""``/v2/usage``: what projects took of stores, by day. Adding up is the services' business."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest

from glancekit.api.auth import caller
from glancekit.api.paging import first_link, next_link, page_limit, parse_query
from glancekit.api.replies import json_reply
from glancekit.core.storage_use import DAY, StorageUse
from glancekit.services import ledger
from glancekit.services.world import World

_PATH = "/v2/usage"
_KNOWN = frozenset({"project_id", "store", "from", "to", "limit", "marker"})


class StorageUsage:
    """What was taken of stores."""

    def __init__(self, world: World) -> None:
        self._world = world

    def index(self) -> Response:
        """Answer ``GET /v2/usage``."""
        params = parse_query(request.environ.get("QUERY_STRING", ""))
        asked = dict(params)
        if unknown := asked.keys() - _KNOWN:
            raise BadRequest(f"'{min(unknown)[:40]}' is no parameter; there are {_names()}.")
        settings = self._world.settings
        limit = page_limit(
            asked.get("limit"),
            default=settings.limit_param_default,
            maximum=settings.api_limit_max,
        )
        after = _entry(asked["marker"]) if "marker" in asked else None
        found = ledger.page(self._world, caller(), _span(asked), after=after, limit=limit)
        content: dict[str, Any] = {
            "usage": [_shown(use) for use in found],
            "first": first_link(_PATH, params),
        }
        if found and len(found) == limit:
            content["next"] = next_link(_PATH, params, _marker(found[-1]))
        return json_reply(content)


def _names() -> str:
    return ", ".join(sorted(_KNOWN))


def _span(asked: dict[str, str]) -> ledger.Span:
    return ledger.Span(
        since=_day("from", asked["from"]) if "from" in asked else ledger.EARLIEST,
        until=_day("to", asked["to"]) + DAY if "to" in asked else ledger.LATEST,
        project_id=asked.get("project_id"),
        store=asked.get("store"),
    )


def _day(name: str, text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = date.max
    if day >= ledger.LATEST.date() or len(text) != len("2026-01-01"):
        raise BadRequest(f"'{name}' is a day such as 2026-11-30, not '{text[:40]}'.")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _shown(use: StorageUse) -> dict[str, Any]:
    return {
        "day": use.day.date().isoformat(),
        "project_id": use.project_id,
        "store": use.store,
        "byte_hours": use.byte_hours,
    }


def _marker(use: StorageUse) -> str:
    """Name an entry. No store's id has a colon in it; a project's may."""
    return f"{use.day.date().isoformat()}:{use.store}:{use.project_id}"


def _entry(marker: str) -> StorageUse:
    parts = marker.split(":", 2)
    if len(parts) != 3:
        raise BadRequest("A marker is what a link to the next page has.")
    day, store, project_id = parts
    return StorageUse(day=_day("marker", day), project_id=project_id, store=store, byte_hours=0)
