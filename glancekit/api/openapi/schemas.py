# SPDX-License-Identifier: Apache-2.0
"""The schemas of the document: those that clients read and requests are held against, and the few
that only answers have. What an operation does with them is said in operations.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancekit.api.v2.locations import REGISTRATION
from glancekit.api.v2.schemas import Schema
from glancekit.api.v2.schemas.image import image_schema, location_schema
from glancekit.api.v2.schemas.member import member_schema, members_schema
from glancekit.api.v2.schemas.metadef import metadef_schemas
from glancekit.api.v2.schemas.task import task_schema, tasks_schema
from glancekit.core.model.image import MemberStatus
from glancekit.core.model.task import TaskType
from glancekit.services.metadefs import forms
from glancekit.services.world import Settings

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_PATH: Schema = {"type": "string", "pattern": "^/.+"}
_TRUE: Schema = {"type": "string", "const": "true"}

_ONLY_SHOWN = ("status", "message", "image_id", "request_id", "user_id", "owner")


def document_schemas(settings: Settings) -> dict[str, Schema]:
    """Return every schema by its name in the document, in the dialect of OpenAPI 3.1."""
    given = {
        "image": image_schema(settings),
        "images": _list_of("images", "image"),
        "member": member_schema(),
        "members": members_schema(),
        "task": _nullable(task_schema(), _ONLY_SHOWN),
        "tasks": {
            **tasks_schema(),
            "properties": {
                **tasks_schema()["properties"],
                "tasks": {"type": "array", "items": reference("task")},
            },
        },
        **{f"metadefs_{name}": schema for name, schema in metadef_schemas().items()},
        **_bodies(settings),
        **_answers(),
    }
    converted: dict[str, Schema] = {}
    for name, schema in given.items():
        for inner, definition in schema.get("definitions", {}).items():
            converted[f"metadefs_{inner}_definitions"] = _converted(definition)
        converted[name] = _converted(schema, is_top=True)
    return converted


def reference(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Any], *required: str, **rest: Any) -> Schema:
    schema = {"type": "object", "properties": dict(properties), **rest}
    return {**schema, "required": list(required)} if required else schema


def _list_of(name: str, item: str) -> Schema:
    return _object(
        {
            name: {"type": "array", "items": reference(item)},
            "first": _TEXT,
            "next": _TEXT,
            "schema": _TEXT,
        },
        *(name, "first", "schema"),
    )


def _nullable(schema: Schema, names: tuple[str, ...]) -> Schema:
    """Let attributes be null. That they may, clients know, and the schema for them never said."""
    properties = dict(schema["properties"])
    for name in names:
        kind = properties[name].get("type")
        if isinstance(kind, str) and "enum" not in properties[name]:
            properties[name] = {**properties[name], "type": [kind, "null"]}
    return {**schema, "properties": properties}


def _bodies(settings: Settings) -> dict[str, Schema]:
    image = image_schema(settings)
    registration: Any = REGISTRATION["properties"]
    writable = {
        name: rule
        for name, rule in image["properties"].items()
        if not rule.get("readOnly") and name != "locations"
    }
    return {
        "new_image": {**image, "properties": writable},
        "new_member": _object({"member": _TEXT}, "member"),
        "member_status": _object(
            {"status": {"type": "string", "enum": [*MemberStatus]}}, "status"
        ),
        "new_location": _object(registration, "url", additionalProperties=False),
        "new_task": _object(
            {"type": {"type": "string", "enum": [*TaskType]}, "input": {"type": "object"}},
            *("type", "input"),
        ),
        "import": _object(
            {
                "method": _object({"name": _TEXT}, "name"),
                "stores": {"type": "array", "items": _TEXT},
                "all_stores": {"type": "boolean"},
                "all_stores_must_succeed": {"type": "boolean", "default": True},
            },
            "method",
        ),
        "new_namespace": forms.NAMESPACE,
        "new_property": forms.NAMED_PROPERTY,
        "new_object": forms.OBJECT,
        "new_tag": forms.TAG,
        "new_tags": forms.TAGS,
        "new_association": forms.ASSOCIATION,
        "patch_v21": _patch_v21(writable),
        "patch_v20": _patch_v20(),
    }


def _patch_v21(attributes: Mapping[str, Schema]) -> Schema:
    """Return the schema of a patch, with what each attribute may become."""
    changes = [
        _change({"type": "string", "const": f"/{name}"}, value)
        for name, value in attributes.items()
        if name != "id"
    ]
    locations = _change({"type": "string", "pattern": "^/locations(/.+)?$"}, {})
    anything = _change(_PATH, _TEXT)
    removal = _object({"op": {"type": "string", "const": "remove"}, "path": _PATH}, "op", "path")
    return {"type": "array", "items": {"anyOf": [*changes, anything, removal, locations]}}


def _change(path: Schema, value: Schema) -> Schema:
    op = {"type": "string", "enum": ["add", "replace"]}
    return _object({"op": op, "path": path, "value": value}, "op", "path", "value")


def _patch_v20() -> Schema:
    changes = [
        _object({name: _PATH, "value": {}}, name, "value", additionalProperties=False)
        for name in ("add", "replace")
    ]
    removal = _object({"remove": _PATH}, "remove", additionalProperties=False)
    return {"type": "array", "items": {"anyOf": [*changes, removal]}}


def _answers() -> dict[str, Schema]:
    store = _object(
        {
            "id": _TEXT,
            "description": _TEXT,
            "default": _TRUE,
            "read-only": _TRUE,
            "type": _TEXT,
            "weight": {"type": "integer"},
            "properties": {"type": "object"},
        },
        "id",
    )
    link = _object({"rel": _TEXT, "href": _TEXT}, "rel", "href")
    version = _object(
        {"id": _TEXT, "status": _TEXT, "links": {"type": "array", "items": link}},
        *("id", "status", "links"),
    )
    part = _object(
        {
            "name": _TEXT,
            "ok": {"type": "boolean"},
            "detail": _TEXT,
            "required": {"type": "boolean"},
        },
        *("name", "ok"),
    )
    used = _object({"usage": {"type": "integer"}, "limit": {"type": "integer"}}, "usage", "limit")
    taken = _object(
        {
            "day": {"type": "string", "format": "date"},
            "project_id": _TEXT,
            "store": _TEXT,
            "byte_hours": {"type": "integer"},
        },
        *("day", "project_id", "store", "byte_hours"),
    )
    methods = _object(
        {"description": _TEXT, "type": _TEXT, "value": {"type": "array", "items": _TEXT}}, "value"
    )
    can = _object({"description": _TEXT, "type": _TEXT, "value": {"type": "boolean"}}, "value")
    tally = _object(
        {
            "calls": {"type": "integer"},
            "errors": {"type": "integer"},
            "seconds": {"type": "number"},
            "last_error": _TEXT,
        },
        *("calls", "errors", "seconds", "last_error"),
    )
    plugin = _object(
        {
            **{name: _TEXT for name in ("group", "name", "use", "state", "reason")},
            **{name: _TEXT_OR_NULL for name in ("distribution", "version")},
            "api_level": {"type": ["integer", "null"]},
            "capabilities": {"type": "array", "items": _TEXT},
            "calls": {"type": "object", "additionalProperties": tally},
        },
        *("group", "name", "state", "calls"),
    )
    resource_type = _object({"name": _TEXT, "created_at": _TEXT, "updated_at": _TEXT}, "name")
    return {
        "any": {"type": "object"},
        "error": _object({"message": _TEXT, "code": _TEXT, "title": _TEXT}, "message", "code"),
        "versions": _object({"versions": {"type": "array", "items": version}}, "versions"),
        "health": _object(
            {"ok": {"type": "boolean"}, "parts": {"type": "array", "items": part}}, "ok", "parts"
        ),
        "stores": _object({"stores": {"type": "array", "items": store}}, "stores"),
        "plugins": _object({"plugins": {"type": "array", "items": plugin}}, "plugins"),
        "usage": _object({"usage": {"type": "object", "additionalProperties": used}}, "usage"),
        "storage_usage": _object(
            {"usage": {"type": "array", "items": taken}, "first": _TEXT, "next": _TEXT},
            *("usage", "first"),
        ),
        "import_methods": _object(
            {"import-methods": methods, "stage-parts": can, "import-steps": methods},
            *("import-methods", "import-steps"),
        ),
        "staged": _object(
            {
                "offset": {"type": "integer"},
                "size": {"type": "integer"},
                "version": _TEXT_OR_NULL,
            },
            *("offset", "size", "version"),
        ),
        "locations": location_schema(),
        "image_tasks": _object({"tasks": {"type": "array", "items": _image_task()}}, "tasks"),
        "all_resource_types": _object(
            {"resource_types": {"type": "array", "items": resource_type}}, "resource_types"
        ),
        **_of_the_cache(),
    }


def _of_the_cache() -> dict[str, Schema]:
    number, ids = {"type": "integer", "minimum": 0}, {"type": "array", "items": _TEXT}
    entry = _object(
        {
            "image_id": _TEXT,
            "hits": number,
            "last_accessed": {"type": "number"},
            "last_modified": {"type": "number"},
            "size": number,
        },
        *("image_id", "hits", "last_accessed", "last_modified", "size"),
    )
    entries: Schema = {"type": "array", "items": entry}
    numbers = ("used", "limit", "free_reserve", "images", "queued")
    pruned = ("total_files_pruned", "total_bytes_pruned")
    return {
        "cache": _object(
            {"cached_images": entries, "queued_images": ids}, "cached_images", "queued_images"
        ),
        "cached_images": _object({"cached_images": entries}, "cached_images"),
        "queued_images": _object({"queued_images": ids}, "queued_images"),
        "cache_statistics": _object(
            {
                "node": _TEXT,
                **dict.fromkeys(numbers, number),
                "fetching": ids,
                "counts": {"type": "object", "additionalProperties": number},
            },
            *("node", "fetching", "counts", *numbers),
        ),
        "cache_nodes": ids,
        "cache_pruned": _object(dict.fromkeys(pruned, number), *pruned),
        "number_deleted": _object({"num_deleted": number}, "num_deleted"),
        "nothing": {"type": "null"},
    }


def _image_task() -> Schema:
    """Return a task as an image's tasks show it: like a row, so that its times differ."""
    names = ("type", "status", "owner", "expires_at", "created_at", "updated_at", "deleted_at")
    rest = ("image_id", "request_id", "user_id", "message")
    return _object(
        {
            "id": _TEXT,
            **{name: _TEXT_OR_NULL for name in (*names, *rest)},
            "deleted": {"type": "boolean"},
            "input": {"type": ["object", "null"]},
            "result": {"type": ["object", "null"]},
        },
        "id",
    )


def _converted(schema: Any, *, is_top: bool = False) -> Any:
    """Return a schema in the dialect of OpenAPI 3.1, without what only clients of old read."""
    if isinstance(schema, list | tuple):
        return [_converted(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    left_out = {"links", "definitions", "name"} if is_top else set()
    converted = {
        str(key): _converted(value) for key, value in schema.items() if key not in left_out
    }
    target = converted.get("$ref")
    if isinstance(target, str) and target.startswith("#/definitions/"):
        return reference(f"metadefs_{target.rpartition('/')[2]}_definitions")
    if is_top and "properties" in converted:
        converted.setdefault("type", "object")
    return converted
