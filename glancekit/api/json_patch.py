# SPDX-License-Identifier: Apache-2.0
"""The two patch formats of the Images API: syntax only. What may change is the services' business.

Version 2.1 is RFC 6902's ``{"op": "add", "path": "/x", "value": 1}`` without test, move and copy;
version 2.0 the older ``{"add": "/x", "value": 1}``, whose ``add`` refuses to overwrite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from glancekit.core.model.changes import Op

MEDIA_TYPE_V21 = "application/openstack-images-v2.1-json-patch"
MEDIA_TYPE_V20 = "application/openstack-images-v2.0-json-patch"
ACCEPT_PATCH = f"{MEDIA_TYPE_V21}, {MEDIA_TYPE_V20}"

_OPERATIONS = ("add", "remove", "replace")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: what to do at which place, the place as unescaped segments."""

    op: Op
    path: tuple[str, ...]
    value: Any = None


def require_patch_type(media_type: str) -> None:
    """Insist on one of the two media types.

    :raises UnsupportedMediaType: answered with ``Accept-Patch`` by the error table.
    """
    if media_type not in (MEDIA_TYPE_V21, MEDIA_TYPE_V20):
        raise UnsupportedPatch(f"A patch has to be of one of the types {ACCEPT_PATCH}.")


class UnsupportedPatch(UnsupportedMediaType):
    """A 415 that says which patch formats there are."""

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        """Add ``Accept-Patch`` (RFC 5789, 3.1)."""
        return [*super().get_headers(*args, **kwargs), ("Accept-Patch", ACCEPT_PATCH)]


def parse(content: Any, media_type: str) -> list[Operation]:
    """Return the operations of a patch."""
    if not isinstance(content, list):
        raise BadRequest("The request body must be a JSON array of operations.")
    parse_one = _parse_v20 if media_type == MEDIA_TYPE_V20 else _parse_v21
    return [parse_one(item) for item in content]


def _parse_v21(item: Any) -> Operation:
    if not isinstance(item, dict):
        raise BadRequest("Every operation of a patch must be a JSON object.")
    name = item.get("op")
    if name not in _OPERATIONS:
        raise BadRequest(
            f"Operation {name!r} is not supported; there are {', '.join(_OPERATIONS)}."
        )
    return Operation(Op(name), _pointer(item.get("path")), _value(item, name))


def _parse_v20(item: Any) -> Operation:
    if not isinstance(item, dict):
        raise BadRequest("Every operation of a patch must be a JSON object.")
    names = [name for name in _OPERATIONS if name in item]
    if len(names) != 1:
        raise BadRequest(f"An operation must have exactly one of {', '.join(_OPERATIONS)}.")
    op = Op.CREATE if names[0] == "add" else Op(names[0])
    return Operation(op, _pointer(item[names[0]]), _value(item, names[0]))


def _value(item: dict[str, Any], name: str) -> Any:
    if name == "remove":
        return None
    if "value" not in item:
        raise BadRequest(f"Operation '{name}' needs a 'value'.")
    return item["value"]


def _pointer(path: Any) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901); only locations have something below the first level."""
    if not isinstance(path, str):
        raise BadRequest("Every operation needs a 'path', which is a string.")
    if not path.startswith("/") or path.endswith("/") or "//" in path:
        raise BadRequest(
            f"Path '{path}' must begin with one '/', not end with one, nor have '//'."
        )
    segments = tuple(_unescape(segment.strip(), path) for segment in path[1:].split("/"))
    if not all(segments):
        raise BadRequest(f"Path '{path}' has an empty part.")
    if len(segments) > (2 if segments[0] == "locations" else 1):
        raise BadRequest(f"Path '{path}' is too deep: attributes are changed as a whole.")
    return segments


def _unescape(segment: str, path: str) -> str:
    if "~" not in segment:
        return segment
    if segment.count("~") != segment.count("~0") + segment.count("~1"):
        raise BadRequest(f"Path '{path}' has a '~' that is neither '~0' nor '~1'.")
    return segment.replace("~1", "/").replace("~0", "~")
