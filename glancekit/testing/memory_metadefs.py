# SPDX-License-Identifier: Apache-2.0
"""Metadata definitions in memory: the part of the memory driver that keeps them.

Like the rest of it a reading of the contract without cleverness.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from glancekit.core.contracts.metadefs import MetadefRepository
from glancekit.core.errors import Duplicate, MetadataError, MetadefNotFound
from glancekit.core.model.identity import EVERYBODY, Viewer
from glancekit.core.model.image import Visibility, now
from glancekit.core.model.metadef import (
    Association,
    Definition,
    DefinitionKind,
    Namespace,
    NamespacePage,
    NamespaceQuery,
    ResourceType,
)


class MetadefRecords(Protocol):
    """Where a unit of work of the memory driver has them, each record under its key."""

    namespaces: dict[str, Namespace]
    definitions: dict[tuple[str, DefinitionKind, str], Definition]
    associations: dict[tuple[str, str], Association]
    resource_types: dict[str, ResourceType]


class MemoryMetadefs(MetadefRepository):
    """Metadata definitions in a unit of work's copy of all records."""

    def __init__(self, state: MetadefRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def namespace(self, name: str, *, viewer: Viewer = EVERYBODY) -> Namespace:
        """See the contract."""
        found = self._state.namespaces.get(name)
        if found is None or not _sees(viewer, found):
            raise MetadefNotFound(kind="namespace", name=name)
        return found

    def find(self, query: NamespaceQuery) -> NamespacePage:
        """See the contract."""
        found = [one for one in self._state.namespaces.values() if self._matches(query, one)]
        marker = None
        if query.marker is not None:
            marker = self.namespace(query.marker, viewer=query.viewer)
            found = [one for one in found if one.name != marker.name] + [marker]
        found.sort(key=lambda one: _rank(query, one), reverse=query.descending)
        if marker is not None:
            found = found[found.index(marker) + 1 :]
        page = found if query.limit is None else found[: query.limit]
        return NamespacePage(tuple(page), is_full=len(found) > len(page) > 0)

    def enforced(self) -> Sequence[Namespace]:
        """See the contract."""
        found = (one for one in self._state.namespaces.values() if one.enforced)
        return sorted(found, key=lambda one: one.name)

    def add(self, namespace: Namespace) -> None:
        """See the contract."""
        namespaces = self._writable().namespaces
        if namespace.name in namespaces:
            raise Duplicate(kind="metadata definition namespace", key=namespace.name)
        namespaces[namespace.name] = namespace

    def save(self, name: str, namespace: Namespace) -> Namespace:
        """See the contract."""
        state, stored = self._writable(), self.namespace(name)
        if namespace.name != name and namespace.name in state.namespaces:
            raise Duplicate(kind="metadata definition namespace", key=namespace.name)
        saved = replace(namespace, created_at=stored.created_at, updated_at=now())
        del state.namespaces[name]
        state.namespaces[saved.name] = saved
        for records in (state.definitions, state.associations):
            _rename(records, name, saved.name)
        return saved

    def remove(self, name: str) -> None:
        """See the contract."""
        state = self._writable()
        self.namespace(name)
        del state.namespaces[name]
        for records in (state.definitions, state.associations):
            _drop(records, name)

    def definitions(self, namespace: str, kind: DefinitionKind) -> Sequence[Definition]:
        """See the contract."""
        self.namespace(namespace)
        found = [
            definition
            for (inside, of_kind, _), definition in self._state.definitions.items()
            if inside == namespace and of_kind is kind
        ]
        return sorted(found, key=lambda definition: definition.name)

    def definition(self, namespace: str, kind: DefinitionKind, name: str) -> Definition:
        """See the contract."""
        self.namespace(namespace)
        try:
            return self._state.definitions[namespace, kind, name]
        except KeyError:
            raise MetadefNotFound(kind=kind, name=name) from None

    def define(self, namespace: str, definition: Definition) -> None:
        """See the contract."""
        state, key = self._writable(), (namespace, definition.kind, definition.name)
        self.namespace(namespace)
        if key in state.definitions:
            raise Duplicate(kind=f"metadata definition {definition.kind}", key=definition.name)
        state.definitions[key] = definition

    def redefine(self, namespace: str, name: str, definition: Definition) -> Definition:
        """See the contract."""
        state, kind = self._writable(), definition.kind
        stored = self.definition(namespace, kind, name)
        if definition.name != name and (namespace, kind, definition.name) in state.definitions:
            raise Duplicate(kind=f"metadata definition {kind}", key=definition.name)
        saved = replace(definition, created_at=stored.created_at, updated_at=now())
        del state.definitions[namespace, kind, name]
        state.definitions[namespace, kind, saved.name] = saved
        return saved

    def undefine(self, namespace: str, kind: DefinitionKind, name: str | None = None) -> int:
        """See the contract."""
        state = self._writable()
        if name is not None:
            self.definition(namespace, kind, name)
            del state.definitions[namespace, kind, name]
            return 1
        over = self.definitions(namespace, kind)
        for definition in over:
            del state.definitions[namespace, kind, definition.name]
        return len(over)

    def resource_types(self) -> Sequence[ResourceType]:
        """See the contract."""
        return sorted(self._state.resource_types.values(), key=lambda found: found.name)

    def know(self, resource_type: ResourceType) -> None:
        """See the contract."""
        self._writable().resource_types.setdefault(resource_type.name, resource_type)

    def associations(self, namespaces: Collection[str]) -> Mapping[str, Sequence[Association]]:
        """See the contract."""
        found: dict[str, list[Association]] = {}
        for (namespace, _), association in sorted(self._state.associations.items()):
            if namespace in namespaces:
                found.setdefault(namespace, []).append(association)
        return found

    def associate(self, namespace: str, association: Association) -> None:
        """See the contract."""
        state, name = self._writable(), association.resource_type
        self.namespace(namespace)
        if (namespace, name) in state.associations:
            raise Duplicate(kind=f"association of namespace '{namespace}' with", key=name)
        state.resource_types.setdefault(name, ResourceType(name=name))
        state.associations[namespace, name] = association

    def dissociate(self, namespace: str, resource_type: str) -> None:
        """See the contract."""
        state = self._writable()
        self.namespace(namespace)
        if state.associations.pop((namespace, resource_type), None) is None:
            raise MetadefNotFound(kind="resource type association", name=resource_type)

    def _matches(self, query: NamespaceQuery, namespace: Namespace) -> bool:
        types = {
            resource_type
            for inside, resource_type in self._state.associations
            if inside == namespace.name
        }
        return (
            _sees(query.viewer, namespace)
            and query.visibility in (None, namespace.visibility)
            and (not query.resource_types or not types.isdisjoint(query.resource_types))
        )

    def _writable(self) -> MetadefRecords:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
        return self._state


def _sees(viewer: Viewer, namespace: Namespace) -> bool:
    public = namespace.visibility is Visibility.PUBLIC
    return viewer.is_admin or public or namespace.owner == viewer.project_id


def _rank(query: NamespaceQuery, namespace: Namespace) -> tuple[Any, ...]:
    if query.sort_key == "namespace":
        return (namespace.name,)
    return getattr(namespace, query.sort_key), namespace.name


def _rename(records: dict[Any, Any], old: str, new: str) -> None:
    moved = {key: record for key, record in records.items() if key[0] == old}
    _drop(records, old)
    records.update({(new, *key[1:]): record for key, record in moved.items()})


def _drop(records: dict[Any, Any], namespace: str) -> None:
    for key in [key for key in records if key[0] == namespace]:
        del records[key]
