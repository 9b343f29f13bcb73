# SPDX-License-Identifier: Apache-2.0
"""Between the JSON form of metadata definitions and the values of the model.

Documents that come in were held against their form before; see forms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from glancekit.core.errors import Duplicate
from glancekit.core.model.image import Visibility
from glancekit.core.model.metadef import (
    Association,
    Contents,
    Definition,
    DefinitionKind,
    Namespace,
)
from glancekit.services.metadefs.forms import READ_ONLY

Document = Mapping[str, Any]

# -- from JSON


def contents_of(document: Document, *, owner: str) -> Contents:
    """Return a namespace with all in it; ``owner`` is whose it is when it does not say.

    :raises Duplicate: when it says something twice.
    """
    properties = document.get("properties") or {}
    contents = Contents(
        namespace=namespace_of(document, owner=owner),
        associations=tuple(
            association_of(given) for given in document.get("resource_type_associations") or ()
        ),
        definitions=(
            *(property_of({**given, "name": name}) for name, given in properties.items()),
            *(object_of(given) for given in document.get("objects") or ()),
            *(tag_of(given) for given in document.get("tags") or ()),
        ),
    )
    _refuse_twice("association with", (one.resource_type for one in contents.associations))
    for kind in DefinitionKind:
        _refuse_twice(kind, (one.name for one in contents.of_kind(kind)))
    return contents


def namespace_of(document: Document, *, owner: str) -> Namespace:
    """Return a namespace; what it does not say is as in a new one."""
    return Namespace(
        name=document["namespace"],
        owner=document.get("owner") or owner,
        display_name=document.get("display_name"),
        description=document.get("description"),
        visibility=Visibility(document.get("visibility", Visibility.PRIVATE)),
        protected=document.get("protected", False),
    )


def association_of(document: Document) -> Association:
    """Return an association with a resource type."""
    return Association(
        resource_type=document["name"],
        prefix=document.get("prefix"),
        properties_target=document.get("properties_target"),
    )


def property_of(document: Document) -> Definition:
    """Return the definition of a property."""
    return _definition(DefinitionKind.PROPERTY, document)


def object_of(document: Document) -> Definition:
    """Return the definition of an object."""
    given = dict(document)
    properties = given.get("properties") or {}
    # Each property has its name as its key, and need not say it again.
    given["properties"] = {
        key: {field: value for field, value in one.items() if field != "name"}
        for key, one in properties.items()
    }
    return _definition(DefinitionKind.OBJECT, given)


def tag_of(document: Document) -> Definition:
    """Return a tag."""
    return Definition(kind=DefinitionKind.TAG, name=document["name"])


def _definition(kind: DefinitionKind, document: Document) -> Definition:
    apart = {"name", *(READ_ONLY if kind is DefinitionKind.OBJECT else ())}
    content = {field: value for field, value in document.items() if field not in apart}
    return Definition(kind=kind, name=document["name"], content=content)


def _refuse_twice(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise Duplicate(kind=kind, key=name)
        seen.add(name)


# -- to JSON


def document_of(contents: Contents) -> dict[str, Any]:
    """Return a namespace with all in it as operators keep it in a file: without times."""
    namespace = contents.namespace
    return {
        **said(
            namespace=namespace.name,
            display_name=namespace.display_name,
            description=namespace.description,
            visibility=namespace.visibility.value,
            protected=namespace.protected,
            owner=namespace.owner,
        ),
        "resource_type_associations": [
            association_document(association) for association in contents.associations
        ],
        "properties": {
            found.name: dict(found.content) for found in contents.of_kind(DefinitionKind.PROPERTY)
        },
        "objects": [
            {"name": found.name, **found.content}
            for found in contents.of_kind(DefinitionKind.OBJECT)
        ],
        "tags": [{"name": found.name} for found in contents.of_kind(DefinitionKind.TAG)],
    }


def association_document(association: Association) -> dict[str, Any]:
    """Return an association without its times."""
    return said(
        name=association.resource_type,
        prefix=association.prefix,
        properties_target=association.properties_target,
    )


def said(**fields: Any) -> dict[str, Any]:
    """Return the fields that have a value; one without is left out, not null."""
    return {name: value for name, value in fields.items() if value is not None}
