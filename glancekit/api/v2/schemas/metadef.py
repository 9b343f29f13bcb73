# SPDX-License-Identifier: Apache-2.0
"""The schemas of metadata definitions as clients read them: the forms, and what is only shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glancekit.services.metadefs import forms

Schema = forms.Form


def metadef_schemas() -> dict[str, Schema]:
    """Return every schema by its name in ``/v2/schemas/metadefs/{name}``."""
    namespace, resource_type = _namespace(), _resource_type()
    property_, object_, tag = _property(), _object(), _tag()
    return {
        "namespace": namespace,
        "namespaces": _list_of("namespaces", namespace, paged=True),
        "resource_type": resource_type,
        "resource_types": _list_of(
            "resource_type_associations", resource_type, name="resource_type_associations"
        ),
        "property": property_,
        "properties": _properties(property_),
        "object": object_,
        "objects": _list_of("objects", object_, paged=True),
        "tag": tag,
        "tags": _list_of("tags", tag, paged=True),
    }


_TIMES: Schema = {
    "created_at": {
        "type": "string",
        "readOnly": True,
        "description": "Date and time of creation",
        "format": "date-time",
    },
    "updated_at": {
        "type": "string",
        "readOnly": True,
        "description": "Date and time of the last modification",
        "format": "date-time",
    },
}
_LINKS: Schema = {
    "self": {"type": "string", "readOnly": True},
    "schema": {"type": "string", "readOnly": True},
}

_DEFINITIONS: Schema = {"property": forms.PROPERTIES}
"""What several schemas refer to; glanceclient's models resolve it."""

_PROPERTIES: Schema = {"$ref": "#/definitions/property"}


def _one(name: str, fields: Mapping[str, Any], **rest: Any) -> Schema:
    return {"name": name, "type": "object", "properties": dict(fields), **rest}


def _namespace() -> Schema:
    shown = {**_LINKS, **_TIMES}
    object_ = {**forms.OBJECT, "properties": {**_object_fields(), **shown}}
    association = {
        **forms.ASSOCIATION,
        "properties": {**forms.ASSOCIATION_FIELDS, **_TIMES},
    }
    return _one(
        "namespace",
        {
            **forms.NAMESPACE_FIELDS,
            "description": _any_length(forms.NAMESPACE_FIELDS["description"]),
            "properties": _PROPERTIES,
            "objects": {"type": "array", "items": object_},
            "resource_type_associations": {"type": "array", "items": association},
            **shown,
        },
        required=["namespace"],
        additionalProperties=False,
        definitions=_DEFINITIONS,
    )


def _object_fields() -> Schema:
    return {
        **forms.OBJECT_FIELDS,
        "description": _any_length(forms.OBJECT_FIELDS["description"]),
        "properties": _PROPERTIES,
    }


def _any_length(form: Schema) -> Schema:
    """Return the form of a text without its limit: what was loaded from files may be longer."""
    return {key: value for key, value in form.items() if key != "maxLength"}


def _object() -> Schema:
    return _one(
        "object",
        {**_object_fields(), **_LINKS, **_TIMES},
        required=["name"],
        additionalProperties=False,
        definitions=_DEFINITIONS,
    )


def _property() -> Schema:
    return _one("property", forms.PROPERTY_FIELDS, required=["name", "title", "type"])


def _properties(property_: Schema) -> Schema:
    inner = {"type": "object", "properties": property_["properties"]}
    fields = {"properties": {"type": "object", "additionalProperties": inner}}
    return _one("properties", fields, links=_links_of(paged=False))


def _tag() -> Schema:
    fields = {**forms.TAG_FIELDS, **_TIMES}
    return _one("tag", fields, required=["name"], additionalProperties=False)


def _resource_type() -> Schema:
    return _one(
        "resource_type_association",
        {**forms.ASSOCIATION_FIELDS, **_TIMES},
        required=["name"],
        additionalProperties=False,
    )


def _list_of(key: str, item: Schema, *, name: str | None = None, paged: bool = False) -> Schema:
    inner = {field: value for field, value in item.items() if field != "definitions"}
    fields: Schema = {
        key: {"type": "array", "items": inner},
        "schema": {"type": "string"},
    }
    if paged:
        fields |= {"first": {"type": "string"}, "next": {"type": "string"}}
    schema = _one(name or key, fields, links=_links_of(paged=paged))
    if "definitions" in item:
        schema["definitions"] = item["definitions"]
    return schema


def _links_of(*, paged: bool) -> list[Schema]:
    links = [{"rel": "describedby", "href": "{schema}"}]
    if paged:
        links += [{"rel": "first", "href": "{first}"}, {"rel": "next", "href": "{next}"}]
    return links
