# SPDX-License-Identifier: Apache-2.0
"""Image records over HTTP: create, list, show, patch, delete. Who may: the services' business."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest

from glancekit.api import json_patch
from glancekit.api.auth import caller
from glancekit.api.body import json_body, json_object
from glancekit.api.paging import first_link, next_link, parse_query
from glancekit.api.replies import empty_reply, json_reply
from glancekit.api.v2.filters import parse_filters
from glancekit.api.v2.image_json import ImageJson
from glancekit.api.v2.locations import LocationPatches, on_locations
from glancekit.api.v2.schemas.image import image_schema
from glancekit.api.v2.schemas.validation import AttributeValidator
from glancekit.core.errors import ImageNotFound, InvalidField, ReadOnlyField
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.image import Visibility
from glancekit.services import attributes, images, location_changes
from glancekit.services.world import World

_PATH = "/v2/images"


class Images:
    """The collection ``/v2/images`` and its items."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._json = ImageJson(world)
        schema = image_schema(world.settings)
        self._validator = AttributeValidator(schema)
        self._required = frozenset(schema.get("required", ()))
        self._location_patches = LocationPatches()
        self._store_ids = ",".join(store.id for store in world.stores if store.is_writable)

    def create(self) -> Response:
        """Answer ``POST /v2/images``."""
        image = images.create(self._world, caller(), self._new_image(json_object()))
        headers = {
            "Location": f"{self._base()}{_PATH}/{image.id}",
            "OpenStack-image-store-ids": self._store_ids,
        }
        if self._world.importing.methods:
            headers["OpenStack-image-import-methods"] = ",".join(self._world.importing.methods)
        return json_reply(self._json.of(image), status=201, headers=headers)

    def index(self) -> Response:
        """Answer ``GET /v2/images``."""
        params = parse_query(request.environ.get("QUERY_STRING", ""))
        query = parse_filters(params, self._world.settings)
        try:
            page = images.find(self._world, caller(), query)
        except ImageNotFound as error:
            raise BadRequest(f"The marker {query.marker!r} is no image of this list.") from error
        content: dict[str, Any] = {
            "images": [self._json.of(image) for image in page.images],
            "first": first_link(_PATH, params),
            "schema": "/v2/schemas/images",
        }
        if page.is_full and page.images:
            content["next"] = next_link(_PATH, params, page.images[-1].id)
        return json_reply(content)

    def show(self, image_id: str) -> Response:
        """Answer ``GET /v2/images/{id}``."""
        return json_reply(self._json.of(images.show(self._world, caller(), image_id)))

    def update(self, image_id: str) -> Response:
        """Answer ``PATCH /v2/images/{id}``."""
        media_type = request.mimetype
        json_patch.require_patch_type(media_type)
        operations = json_patch.parse(json_body(), media_type)
        if on_locations(operations):
            location_changes.require_offered(self._world)
            moves = self._location_patches.changes(operations)
            image = location_changes.change(self._world, caller(), image_id, moves)
        else:
            changes = list(self._changes(operations))
            image = images.update(self._world, caller(), image_id, changes)
        return json_reply(self._json.of(image))

    def delete(self, image_id: str) -> Response:
        """Answer ``DELETE /v2/images/{id}``."""
        images.delete(self._world, caller(), image_id)
        return empty_reply()

    def _base(self) -> str:
        return (self._world.settings.public_endpoint or request.url_root).rstrip("/")

    def _new_image(self, given: dict[str, Any]) -> NewImage:
        for name in given:
            if name != "id":
                _refuse_read_only(name)
        for name in sorted(self._required):
            self._require(name, given.get(name))
        self._validator.check(given)
        known = {name: value for name, value in given.items() if name in attributes.WRITABLE}
        if "tags" in known:
            known["tags"] = frozenset(known["tags"])
        if "visibility" in known:
            known["visibility"] = Visibility(known["visibility"])
        properties = {
            name: value
            for name, value in given.items()
            if name not in known and name != "id" and value is not None
        }
        return NewImage(id=given.get("id"), properties=properties, **known)

    def _changes(self, operations: Iterable[json_patch.Operation]) -> Iterable[Change]:
        for operation in operations:
            name = operation.path[0]
            _refuse_read_only(name)
            if operation.op is not Op.REMOVE:
                self._validator.check_value(name, operation.value)
            self._require(name, operation.value)
            yield Change(operation.op, name, operation.value)

    def _require(self, name: str, value: object) -> None:
        """Insist on what the operator's schema file says every image has."""
        if name in self._required and value is None:
            raise InvalidField(field=name, reason="every image of this service has to have it")


def _refuse_read_only(name: str) -> None:
    """Say that an attribute cannot be set before anything is said about its value."""
    if name in attributes.READ_ONLY or name.startswith(attributes.RESERVED_PREFIX):
        raise ReadOnlyField(field=name)
