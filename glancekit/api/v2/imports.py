# SPDX-License-Identifier: Apache-2.0
"""Staging and importing over HTTP. What may be imported how is the services' business."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from flask import Response, request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from glancekit.api.auth import caller
from glancekit.api.body import RequestBody, declared_size, json_object, request_body
from glancekit.api.errors import UPLOAD_OFFSET
from glancekit.api.ranges import sent_range
from glancekit.api.replies import empty_reply, json_reply
from glancekit.services import imports, parts
from glancekit.services.imports import ImportRequest
from glancekit.services.parts import Part
from glancekit.services.world import World

_OCTETS = "application/octet-stream"
_STORE = "x-image-meta-store"
_UPLOAD_VERSION = "Upload-Version"
_VERSION = re.compile(r"[!-~]{1,255}\Z", re.ASCII)


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
        if "Content-Range" in request.headers:
            return self._stage_part(image_id, body)
        imports.stage(self._world, caller(), image_id, body, size=declared_size(body))
        return empty_reply()

    def _stage_part(self, image_id: str, body: RequestBody) -> Response:
        part = _part(body)
        offset = parts.stage_part(self._world, caller(), image_id, body, part)
        response = empty_reply()
        response.headers[UPLOAD_OFFSET] = str(offset)
        return response

    def staged(self, image_id: str) -> Response:
        """Answer ``GET .../stage``."""
        found = parts.progress(self._world, caller(), image_id)
        return json_reply(asdict(found), headers={"Cache-Control": "no-store"})

    def begin(self, image_id: str) -> Response:
        """Answer ``POST .../import``."""
        asked = _asked(json_object(), request.headers.get(_STORE) or None)
        imports.begin(self._world, caller(), image_id, asked)
        return empty_reply(status=202)


def _part(body: RequestBody) -> Part:
    """Return what the request says of the part that it brings."""
    first, last, total = sent_range(request.headers["Content-Range"])
    version = request.headers.get(_UPLOAD_VERSION)
    if version is not None and not _VERSION.match(version):
        raise BadRequest(f"{_UPLOAD_VERSION} is 1 to 255 visible characters of ASCII.")
    part = Part(first=first, last=last, total=total, version=version)
    if body.length is not None and body.length != part.size:
        raise BadRequest(f"The body has {body.length} bytes; Content-Range says {part.size}.")
    if request.headers.get("x-openstack-image-size") and declared_size(body) != total:
        raise BadRequest("x-openstack-image-size is not the total that Content-Range says.")
    return part


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
