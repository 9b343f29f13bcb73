# SPDX-License-Identifier: Apache-2.0
"""``/v2/images/{id}/actions/...``: taking images out of use and back, and back from a
delete. Who may: the services'.
"""

from __future__ import annotations

from flask import Response

from glancekit.api.auth import caller
from glancekit.api.replies import empty_reply
from glancekit.services import actions, restoring
from glancekit.services.world import World


class Actions:
    """The actions on an image."""

    def __init__(self, world: World) -> None:
        self._world = world

    def deactivate(self, image_id: str) -> Response:
        """Answer ``POST .../deactivate``."""
        actions.deactivate(self._world, caller(), image_id)
        return empty_reply()

    def reactivate(self, image_id: str) -> Response:
        """Answer ``POST .../reactivate``."""
        actions.reactivate(self._world, caller(), image_id)
        return empty_reply()

    def restore(self, image_id: str) -> Response:
        """Answer ``POST .../restore``."""
        restoring.restore(self._world, caller(), image_id)
        return empty_reply()
