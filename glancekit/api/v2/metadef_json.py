# SPDX-License-Identifier: Apache-2.0
"""How metadata definitions look in JSON. Which are shown to whom is the services' business."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from glancekit.core.model.metadef import (
    Association,
    Contents,
    Definition,
    DefinitionKind,
    Namespace,
    ResourceType,
)
from glancekit.services.metadefs.documents import association_document, said

NAMESPACES = "/v2/metadefs/namespaces"

_LITERAL = ":@!$&'()*+,;="
"""What stands in a path as it is besides letters, digits and ``_.-~``."""


def path_of(namespace: str, *parts: str) -> str:
    """Return the path of a namespace, or of something in it."""
    return "/".join((NAMESPACES, *(quote(part, safe=_LITERAL) for part in (namespace, *parts))))


def namespace_json(namespace: Namespace) -> dict[str, Any]:
    """Return a namespace alone."""
    return {
        **said(
            namespace=namespace.name,
            display_name=namespace.display_name,
            description=namespace.description,
        ),
        "visibility": namespace.visibility,
        "protected": namespace.protected,
        "owner": namespace.owner,
        "created_at": namespace.created_at,
        "updated_at": namespace.updated_at,
        "self": path_of(namespace.name),
        "schema": "/v2/schemas/metadefs/namespace",
    }


def contents_json(contents: Contents) -> dict[str, Any]:
    """Return a namespace with what is in it; of what it has none, nothing is said."""
    shown = namespace_json(contents.namespace)
    name = contents.namespace.name
    if contents.associations:
        shown["resource_type_associations"] = [
            association_json(association) for association in contents.associations
        ]
    if properties := contents.of_kind(DefinitionKind.PROPERTY):
        shown["properties"] = {found.name: found.content for found in properties}
    if objects := contents.of_kind(DefinitionKind.OBJECT):
        shown["objects"] = [object_json(name, found) for found in objects]
    if tags := contents.of_kind(DefinitionKind.TAG):
        shown["tags"] = [{"name": found.name} for found in tags]
    return shown


def property_json(definition: Definition) -> dict[str, Any]:
    """Return the definition of a property."""
    return {**definition.content, "name": definition.name}


def object_json(namespace: str, definition: Definition) -> dict[str, Any]:
    """Return the definition of an object."""
    return {
        "properties": {},
        **definition.content,
        "name": definition.name,
        "created_at": definition.created_at,
        "updated_at": definition.updated_at,
        "self": path_of(namespace, "objects", definition.name),
        "schema": "/v2/schemas/metadefs/object",
    }


def tag_json(definition: Definition) -> dict[str, Any]:
    """Return a tag."""
    return {
        "name": definition.name,
        "created_at": definition.created_at,
        "updated_at": definition.updated_at,
    }


def association_json(association: Association) -> dict[str, Any]:
    """Return an association with a resource type."""
    return {
        **association_document(association),
        "created_at": association.created_at,
        "updated_at": association.updated_at,
    }


def resource_type_json(resource_type: ResourceType) -> dict[str, Any]:
    """Return a resource type."""
    return {
        "name": resource_type.name,
        "created_at": resource_type.created_at,
        "updated_at": resource_type.updated_at,
    }
