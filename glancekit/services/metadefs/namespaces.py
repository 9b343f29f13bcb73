# SPDX-License-Identifier: Apache-2.0
"""Namespaces: find, show, create, change, delete. What is in them has modules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Forbidden, MetadefNotFound
from glancekit.core.model.identity import Identity, Viewer
from glancekit.core.model.metadef import (
    Association,
    Contents,
    Definition,
    DefinitionKind,
    Namespace,
    NamespacePage,
    NamespaceQuery,
)
from glancekit.services.metadefs.notices import about_namespace
from glancekit.services.permitted import READ_AHEAD, fill_page
from glancekit.services.world import World

ADD_ACTIONS: Mapping[DefinitionKind, str] = {
    DefinitionKind.PROPERTY: "add_metadef_property",
    DefinitionKind.OBJECT: "add_metadef_object",
    DefinitionKind.TAG: "add_metadef_tag",
}
"""What making a definition of each kind needs."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of namespaces, each with its associations; ``is_full`` tells that there is more."""

    namespaces: tuple[Contents, ...]
    is_full: bool


def find(world: World, caller: Identity, query: NamespaceQuery) -> Listing:
    """Return a page of the namespaces that the caller may see; the query's viewer is theirs.

    :raises Forbidden: when the caller may not list at all.
    :raises MetadefNotFound: when the marker is unknown.
    """
    world.access.require(caller, "get_metadef_namespaces", owner=caller.project_id)
    with world.metadata.unit_of_work(read_only=True) as work:
        page = _find_permitted(world, work, caller, replace(query, viewer=Viewer.of(caller)))
        associated = work.metadefs.associations([found.name for found in page.namespaces])
    found = tuple(
        Contents(namespace=namespace, associations=tuple(associated.get(namespace.name, ())))
        for namespace in page.namespaces
    )
    return Listing(found, page.is_full)


def _find_permitted(
    world: World, work: UnitOfWork, caller: Identity, query: NamespaceQuery
) -> NamespacePage:
    """Return a page of what ``get_metadef_namespace`` permits: by default what the viewer sees."""
    if not world.access.is_changed("get_metadef_namespace"):
        return work.metadefs.find(query)
    if query.marker is not None:
        find_visible(world, work, caller, query.marker)
    ahead = query if query.limit is None else replace(query, limit=max(query.limit, READ_AHEAD))

    def read(last: Namespace | None) -> tuple[Sequence[Namespace], bool]:
        page = work.metadefs.find(ahead if last is None else replace(ahead, marker=last.name))
        return page.namespaces, page.is_full

    found, is_full = fill_page(query.limit, read, lambda one: _may_see(world, caller, one))
    return NamespacePage(found, is_full)


def show(world: World, caller: Identity, name: str, resource_type: str | None = None) -> Contents:
    """Return a namespace with all that is in it.

    :param resource_type: name the properties as they are named on things of this type.
    :raises MetadefNotFound: when there is none that the caller may see.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        contents = read(work, find_visible(world, work, caller, name))
    for association in contents.associations:
        if association.resource_type == resource_type and association.prefix:
            return _prefixed(contents, association.prefix)
    return contents


def find_visible(world: World, work: UnitOfWork, caller: Identity, name: str) -> Namespace:
    """Return a namespace inside a unit of work, if the caller may see it.

    :raises MetadefNotFound: when there is none.
    """
    namespace = work.metadefs.namespace(name, viewer=Viewer.of(caller))
    if not _may_see(world, caller, namespace):
        raise MetadefNotFound(kind="namespace", name=name)
    return namespace


def _may_see(world: World, caller: Identity, namespace: Namespace) -> bool:
    return world.access.may(
        caller,
        "get_metadef_namespace",
        owner=namespace.owner,
        visibility=namespace.visibility,
    )


def require(world: World, caller: Identity, action: str, namespace: Namespace) -> None:
    """Let a caller do something to a namespace that they see, or to what is in it, or not.

    :raises Forbidden: when the rule says no.
    """
    world.access.require(caller, action, owner=namespace.owner, visibility=namespace.visibility)


def require_unprotected(namespace: Namespace, what: str) -> None:
    """Keep what is protected.

    :raises Forbidden: when the namespace is protected.
    """
    if namespace.protected:
        raise Forbidden(
            action=f"delete {what}: namespace '{namespace.name}' is protected; "
            "set its 'protected' to false first"
        )


def read(work: UnitOfWork, namespace: Namespace) -> Contents:
    """Return a namespace with all that is in it."""
    repository = work.metadefs
    associated = repository.associations([namespace.name])
    return Contents(
        namespace=namespace,
        associations=tuple(associated.get(namespace.name, ())),
        definitions=tuple(
            definition
            for kind in DefinitionKind
            for definition in repository.definitions(namespace.name, kind)
        ),
    )


def write(work: UnitOfWork, contents: Contents) -> None:
    """Keep a new namespace with all that is in it.

    :raises Duplicate: when the name is taken.
    """
    name = contents.namespace.name
    work.metadefs.add(contents.namespace)
    for association in contents.associations:
        work.metadefs.associate(name, association)
    for definition in contents.definitions:
        work.metadefs.define(name, definition)


def create(world: World, caller: Identity, contents: Contents) -> Contents:
    """Make a namespace with all that is in it, or nothing at all.

    :raises Forbidden: when the caller may not, or not one of the things in it.
    :raises Duplicate: when the name is taken.
    """
    namespace = contents.namespace
    require(world, caller, "add_metadef_namespace", namespace)
    for action in _actions_of(contents.associations, contents.definitions):
        require(world, caller, action, namespace)
    with world.metadata.unit_of_work() as work:
        write(work, contents)
        made = read(work, namespace)
        work.events.append(about_namespace(namespace, "create", caller))
        work.commit()
    return made


def update(world: World, caller: Identity, name: str, new: Namespace) -> Namespace:
    """Replace all attributes of a namespace, its name among them; what is in it stays.

    :raises MetadefNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not change it.
    :raises Duplicate: when the new name is taken.
    """
    with world.metadata.unit_of_work() as work:
        before = find_visible(world, work, caller, name)
        for namespace in (before, new):  # the new one may belong to others
            require(world, caller, "modify_metadef_namespace", namespace)
        saved = work.metadefs.save(name, replace(new, enforced=before.enforced))
        work.events.append(about_namespace(saved, "update", caller, old_name=name))
        work.commit()
    return saved


def remove(world: World, caller: Identity, name: str) -> None:
    """Take a namespace away, with all that is in it.

    :raises MetadefNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or it is protected.
    """
    with world.metadata.unit_of_work() as work:
        namespace = find_visible(world, work, caller, name)
        require(world, caller, "delete_metadef_namespace", namespace)
        require_unprotected(namespace, "it")
        work.metadefs.remove(name)
        work.events.append(about_namespace(namespace, "delete", caller))
        work.commit()


def _actions_of(
    associations: Sequence[Association], definitions: Sequence[Definition]
) -> Iterable[str]:
    if associations:
        yield "add_metadef_resource_type_association"
    yield from sorted({ADD_ACTIONS[definition.kind] for definition in definitions})


def _prefixed(contents: Contents, prefix: str) -> Contents:
    """Return a namespace whose properties are named as they are on a thing of some type."""

    def named(definition: Definition) -> Definition:
        if definition.kind is DefinitionKind.PROPERTY:
            return replace(definition, name=prefix + definition.name)
        if definition.kind is DefinitionKind.OBJECT:
            return replace(definition, content=_prefixed_object(definition.content, prefix))
        return definition

    return replace(contents, definitions=tuple(map(named, contents.definitions)))


def _prefixed_object(content: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    prefixed = dict(content)
    if "required" in content:
        prefixed["required"] = [prefix + name for name in content["required"]]
    prefixed["properties"] = {
        prefix + name: one for name, one in content.get("properties", {}).items()
    }
    return prefixed
