# SPDX-License-Identifier: Apache-2.0
"""What each operation on metadata definitions is for, takes and answers: see operations.py."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from glancekit.api.openapi.operations import PAGING, Operation

TAG = "Metadata definitions"

_ALL = "/v2/metadefs/namespaces"
_ONE = f"{_ALL}/<namespace>"


def _list(summary: str, schema: str, query: tuple[str, ...] = ()) -> Operation:
    return Operation(
        summary=summary, answers={200: schema}, query=query, errors=(403, 404), tag=TAG
    )


def _create(summary: str, takes: str | None, schema: str, more: str = "") -> Operation:
    return Operation(
        summary=summary,
        answers={201: schema},
        more=more,
        takes=takes,
        tells=("Location",),
        errors=(403, 404, 409),
        tag=TAG,
    )


def _show(summary: str, schema: str, query: tuple[str, ...] = ()) -> Operation:
    return Operation(summary=summary, answers={200: schema}, query=query, tag=TAG)


def _update(summary: str, takes: str, schema: str) -> Operation:
    return Operation(
        summary=summary, answers={200: schema}, takes=takes, errors=(403, 409), tag=TAG
    )


def _delete(summary: str) -> Operation:
    return Operation(summary=summary, answers={204: None}, errors=(403, 409), tag=TAG)


METADEF_OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "GET /v2/schemas/metadefs/<name>": Operation(
            summary="Get a schema of metadata definitions",
            answers={200: "any"},
            errors=(),
            tag=TAG,
        ),
        "GET /v2/metadefs/resource_types": _list("List resource types", "all_resource_types"),
        f"GET {_ALL}": _list(
            "List namespaces",
            "metadefs_namespaces",
            (*PAGING, "namespace_visibility", "resource_types"),
        ),
        f"POST {_ALL}": _create(
            "Create a namespace",
            "new_namespace",
            "metadefs_namespace",
            "With everything in it, or not at all.",
        ),
        f"GET {_ONE}": _show(
            "Show a namespace with everything in it", "metadefs_namespace", ("resource_type",)
        ),
        f"PUT {_ONE}": _update("Change a namespace", "new_namespace", "metadefs_namespace"),
        f"DELETE {_ONE}": _delete("Delete a namespace with everything in it"),
        f"GET {_ONE}/resource_types": _list(
            "List what things a namespace is for", "metadefs_resource_types"
        ),
        f"POST {_ONE}/resource_types": _create(
            "Say that a namespace is for a type of things",
            "new_association",
            "metadefs_resource_type",
        ),
        f"DELETE {_ONE}/resource_types/<resource_type>": _delete(
            "Say that a namespace is not for a type of things"
        ),
        f"GET {_ONE}/properties": _list("List properties", "metadefs_properties"),
        f"POST {_ONE}/properties": _create(
            "Define a property", "new_property", "metadefs_property"
        ),
        f"DELETE {_ONE}/properties": _delete("Delete all properties of a namespace"),
        f"GET {_ONE}/properties/<name>": _show(
            "Show a property", "metadefs_property", ("resource_type",)
        ),
        f"PUT {_ONE}/properties/<name>": _update(
            "Change a property", "new_property", "metadefs_property"
        ),
        f"DELETE {_ONE}/properties/<name>": _delete("Delete a property"),
        f"GET {_ONE}/objects": _list("List objects", "metadefs_objects", PAGING),
        f"POST {_ONE}/objects": _create("Define an object", "new_object", "metadefs_object"),
        f"DELETE {_ONE}/objects": _delete("Delete all objects of a namespace"),
        f"GET {_ONE}/objects/<name>": _show("Show an object", "metadefs_object"),
        f"PUT {_ONE}/objects/<name>": _update("Change an object", "new_object", "metadefs_object"),
        f"DELETE {_ONE}/objects/<name>": _delete("Delete an object"),
        f"GET {_ONE}/tags": _list("List tags", "metadefs_tags", PAGING),
        f"POST {_ONE}/tags": Operation(
            summary="Set the tags of a namespace",
            answers={201: "metadefs_tags"},
            more="They take the place of all that are there, unless X-Openstack-Append is true.",
            takes="new_tags",
            sends=("X-Openstack-Append",),
            errors=(403, 409),
            tag=TAG,
        ),
        f"DELETE {_ONE}/tags": _delete("Delete all tags of a namespace"),
        f"GET {_ONE}/tags/<name>": _show("Show a tag", "metadefs_tag"),
        f"POST {_ONE}/tags/<name>": _create("Define a tag", None, "metadefs_tag"),
        f"PUT {_ONE}/tags/<name>": _update("Rename a tag", "new_tag", "metadefs_tag"),
        f"DELETE {_ONE}/tags/<name>": _delete("Delete a tag"),
    }
)
