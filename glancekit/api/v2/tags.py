# SPDX-License-Identifier: Apache-2.0
"""``/v2/images/{id}/tags/{tag}``: tags one at a time. Who may is the services' business."""

from __future__ import annotations

from flask import Response

from glancekit.api.auth import caller
from glancekit.api.replies import empty_reply
from glancekit.services import tags
from glancekit.services.world import World


class Tags:
    """The tags of an image."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, image_id: str, tag: str) -> Response:
        """Answer ``PUT``."""
        tags.add(self._world, caller(), image_id, tag)
        return empty_reply()

    def remove(self, image_id: str, tag: str) -> Response:
        """Answer ``DELETE``."""
        tags.remove(self._world, caller(), image_id, tag)
        return empty_reply()
