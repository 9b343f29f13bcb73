# SPDX-License-Identifier: Apache-2.0
"""Where an image's data is, over HTTP: its own route, and the older way as part of a PATCH.

What may be registered is the services' business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask import Response
from werkzeug.exceptions import BadRequest

from glancekit.api.auth import caller
from glancekit.api.body import json_object
from glancekit.api.json_patch import Operation
from glancekit.api.replies import empty_reply, json_reply
from glancekit.api.v2.image_json import location_json
from glancekit.api.v2.schemas.image import location_schema
from glancekit.api.v2.schemas.validation import AttributeValidator
from glancekit.core.model.changes import LocationChange, NewLocation, Op
from glancekit.core.model.image import NOTHING
from glancekit.services import locations
from glancekit.services.locations import HASH_ALGORITHMS
from glancekit.services.world import World

NAME = "locations"
"""The attribute that a PATCH addresses."""

_MAX_DIGITS = 9

_DIGEST = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "os_hash_algo": {"type": "string", "enum": [*HASH_ALGORITHMS]},
        "os_hash_value": {"type": "string", "minLength": 32, "maxLength": 128},
    },
    "required": ["os_hash_algo", "os_hash_value"],
}

REGISTRATION = {
    "properties": {
        "url": {"type": "string", "minLength": 1},
        "validation_data": {"anyOf": [{"type": "object", "maxProperties": 0}, _DIGEST]},
    },
    "additionalProperties": {"not": {}},
}
"""What a registration has in its body."""


class Locations:
    """``/v2/images/{id}/locations``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._registration = AttributeValidator(REGISTRATION)

    def index(self, image_id: str) -> Response:
        """Answer ``GET``: a bare list, as clients know it."""
        found = locations.show(self._world, caller(), image_id)
        return json_reply([location_json(location) for location in found])

    def register(self, image_id: str) -> Response:
        """Answer ``POST``."""
        given = json_object()
        self._registration.check(given)
        if "url" not in given:
            raise BadRequest("The request body needs a 'url'.")
        locations.register(self._world, caller(), image_id, _new_location(given))
        return empty_reply(status=202)


class LocationPatches:
    """Operations of a PATCH on the attribute ``locations``."""

    def __init__(self) -> None:
        self._validator = AttributeValidator({"properties": {NAME: location_schema()}})

    def changes(self, operations: Iterable[Operation]) -> list[LocationChange]:
        """Return what the operations ask for."""
        return [self._change(operation) for operation in operations]

    def _change(self, operation: Operation) -> LocationChange:
        if operation.op is Op.REPLACE:
            if len(operation.path) != 1:
                raise BadRequest(f"Replace /{NAME} as a whole.")
            return LocationChange(Op.REPLACE, None, self._checked(operation.value))
        if len(operation.path) != 2:
            raise BadRequest(f"A location is added as /{NAME}/- and removed as /{NAME}/0, say.")
        position = _position(operation.path[1])
        if operation.op is Op.REMOVE:
            return LocationChange(Op.REMOVE, position)
        return LocationChange(Op.ADD, position, self._checked([operation.value]))

    def _checked(self, values: Any) -> tuple[NewLocation, ...]:
        self._validator.check_value(NAME, values)
        return tuple(_new_location(value) for value in values)


def _position(text: str) -> int | None:
    if text == "-":
        return None
    if not (text.isascii() and text.isdecimal()) or len(text) > _MAX_DIGITS:
        raise BadRequest(f"'{text[:40]}' is no position in a list of locations.")
    return int(text)


def _new_location(given: dict[str, Any]) -> NewLocation:
    said = given.get("validation_data") or {}
    return NewLocation(
        url=given["url"],
        metadata=given.get("metadata", NOTHING),
        checksum=said.get("checksum"),
        hash_algo=said.get("os_hash_algo"),
        hash_value=said.get("os_hash_value"),
    )


def on_locations(operations: Sequence[Operation]) -> bool:
    """Say whether a patch is about locations; one about other things too is refused."""
    count = sum(operation.path[0] == NAME for operation in operations)
    if 0 < count < len(operations):
        raise BadRequest(f"Change {NAME} in a PATCH of their own.")
    return count > 0
