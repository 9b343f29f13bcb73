# SPDX-License-Identifier: Apache-2.0
"""``/healthcheck``, for load balancers and humans. What is asked is health's business."""

from __future__ import annotations

from typing import Any

from flask import Response, request

from glancekit.api.replies import json_reply
from glancekit.core.model.image import without_image_ids
from glancekit.services import health
from glancekit.services.health import Part
from glancekit.services.world import World


class HealthCheck:
    """Outside authentication, so it names no secret and no image.

    It tells which part there is, whether it is well, and why not.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    def show(self) -> Response:
        """Answer 200 or 503; in words, or part by part for whoever accepts JSON."""
        found = health.check(self._world)
        status = 200 if found.ok else 503
        if request.accept_mimetypes.best_match(("text/plain", "application/json")) != (
            "application/json"
        ):
            return Response(
                "OK" if found.ok else "NOT OK", status, content_type="text/plain; charset=UTF-8"
            )
        parts = [_shown(part) for part in found.parts]
        return json_reply({"ok": found.ok, "parts": parts}, status=status)


def _shown(part: Part) -> dict[str, Any]:
    detail = without_image_ids(part.detail)  # a store may have failed to answer for one
    shown = {"name": part.name, "ok": part.ok, "detail": detail, "required": part.required}
    return shown if part.breaker is None else {**shown, "breaker": part.breaker}
