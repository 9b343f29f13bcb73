# SPDX-License-Identifier: Apache-2.0
"""``/v2/stores/{store}/{image}``: one copy of an image's data. Who may is the services'."""

from __future__ import annotations

from flask import Response

from glancekit.api.auth import caller
from glancekit.api.replies import empty_reply
from glancekit.services import stores
from glancekit.services.world import World


class StoreCopies:
    """The copies of images in a store."""

    def __init__(self, world: World) -> None:
        self._world = world

    def delete(self, store_id: str, image_id: str) -> Response:
        """Answer ``DELETE``."""
        stores.delete_from(self._world, caller(), store_id, image_id)
        return empty_reply()
