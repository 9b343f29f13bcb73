# SPDX-License-Identifier: Apache-2.0
"""Staging and importing over HTTP. What may be imported how is the services' business."""

from __future__ import annotations

from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from glancekit.api.auth import caller
from glancekit.api.body import declared_size, json_object, request_body
from glancekit.api.replies import empty_reply
from glancekit.services import imports
from glancekit.services.imports import ImportRequest
from glancekit.services.world import World

_OCTETS = "application/octet-stream"
_STORE = "x-image-meta-store"


class Imports:
    """``/v2/images/{id}/stage`` and ``/v2/images/{id}/import``."""

    def __init__(self, world: World) -> None:
        self._world = world

    def stage(self, image_id: str) -> Response:
        """Answer ``PUT .../stage``."""
        imports.require_staging(self._world)
        if request.mimetype != _OCTETS:
            raise UnsupportedMediaType(f"Image data is sent with Content-Type: {_OCTETS}.")
        body = request_body()
        imports.stage(self._world, caller(), image_id, body, size=declared_size(body))
        return empty_reply()

    def begin(self, image_id: str) -> Response:
        """Answer ``POST .../import``."""
        asked = _asked(json_object(), request.headers.get(_STORE) or None)
        imports.begin(self._world, caller(), image_id, asked)
        return empty_reply(status=202)


def _asked(given: dict[str, Any], header: str | None) -> ImportRequest:
    method = given.get("method")
    if not isinstance(method, dict) or not isinstance(method.get("name"), str):
        raise BadRequest("The request body needs a 'method', an object with a 'name'.")
    stores = _stores(given.get("stores"))
    all_stores = _flag(given, "all_stores", False)
    if header is not None and stores is not None:
        raise BadRequest(f"Name stores in the body or one in {_STORE}, not both.")
    if all_stores and (header is not None or stores is not None):
        raise BadRequest("With 'all_stores' no single ones can be named.")
    return ImportRequest(
        method=method["name"],
        arguments={name: value for name, value in method.items() if name != "name"},
        stores=(header,) if header is not None else stores,
        all_stores=all_stores,
        all_stores_must_succeed=_flag(given, "all_stores_must_succeed", True),
    )


def _stores(given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(store, str) for store in given):
        raise BadRequest("'stores' is a list of stores' ids.")
    return tuple(given)


def _flag(given: dict[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"'{name}' is true or false.")
    return value
