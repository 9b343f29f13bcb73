# SPDX-License-Identifier: Apache-2.0
"""``/v2/images/{id}/members``: with whom an image is shared. Who decides is the services'."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import BadRequest

from glancekit.api.auth import caller
from glancekit.api.body import json_object
from glancekit.api.replies import empty_reply, json_reply
from glancekit.core.model.image import Member
from glancekit.services import members
from glancekit.services.world import World


class Members:
    """The members of an image."""

    def __init__(self, world: World) -> None:
        self._world = world

    def index(self, image_id: str) -> Response:
        """Answer ``GET``."""
        found = members.find(self._world, caller(), image_id)
        shown = [_shown(member) for member in found]
        return json_reply({"members": shown, "schema": "/v2/schemas/members"})

    def add(self, image_id: str) -> Response:
        """Answer ``POST``, with 200 as clients know it."""
        project_id = _text(json_object(), "member")
        return json_reply(_shown(members.add(self._world, caller(), image_id, project_id)))

    def show(self, image_id: str, member_id: str) -> Response:
        """Answer ``GET`` of one."""
        return json_reply(_shown(members.show(self._world, caller(), image_id, member_id)))

    def decide(self, image_id: str, member_id: str) -> Response:
        """Answer ``PUT``."""
        status = _text(json_object(), "status")
        member = members.decide(self._world, caller(), image_id, member_id, status)
        return json_reply(_shown(member))

    def remove(self, image_id: str, member_id: str) -> Response:
        """Answer ``DELETE``."""
        members.remove(self._world, caller(), image_id, member_id)
        return empty_reply()


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"The request body needs a '{name}', which is a string.")
    return value


def _shown(member: Member) -> dict[str, Any]:
    return {
        "member_id": member.project_id,
        "image_id": member.image_id,
        "status": member.status,
        "created_at": member.created_at,
        "updated_at": member.updated_at,
        "schema": "/v2/schemas/member",
    }
