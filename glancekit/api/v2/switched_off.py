# SPDX-License-Identifier: Apache-2.0
"""Routes of features that are switched off: they answer as clients know it from such a service."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import BadRequest, NotFound

from glancekit.api.auth import caller
from glancekit.api.body import json_object
from glancekit.services import images
from glancekit.services.world import World


class ImportsOff:
    """Import and staging where no import method is enabled."""

    def __init__(self, world: World) -> None:
        self._world = world

    def stage(self, image_id: str) -> Response:
        """Answer ``PUT /v2/images/{id}/stage``."""
        raise NotFound("The import method glance-direct is not enabled, so nothing can be staged.")

    def begin(self, image_id: str) -> Response:
        """Answer ``POST /v2/images/{id}/import``."""
        method = json_object().get("method")
        if not isinstance(method, dict) or not isinstance(method.get("name"), str):
            raise BadRequest("The request body needs a 'method', an object with a 'name'.")
        images.show(self._world, caller(), image_id)
        raise BadRequest(
            f"The import method '{method['name'][:40]}' is not enabled; GET /v2/info/import lists "
            "those that are."
        )


class CacheOff:
    """The image cache where there is none."""

    def answer(self, **_where: Any) -> Response:
        """Answer whatever is asked of it."""
        raise NotFound("The image cache is not enabled.")
