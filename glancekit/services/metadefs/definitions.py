# SPDX-License-Identifier: Apache-2.0
"""Properties, objects and tags of a namespace, which are kept and guarded all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from glancekit.core.errors import MetadefNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.metadef import Definition, DefinitionKind
from glancekit.services.metadefs.namespaces import (
    ADD_ACTIONS,
    find_visible,
    require,
    require_unprotected,
)
from glancekit.services.metadefs.notices import about_definition, about_namespace
from glancekit.services.world import World


@dataclass(frozen=True, slots=True)
class _Actions:
    """What dealing with definitions of a kind needs, and how emptying a namespace is called."""

    find: str
    show: str
    change: str
    remove: str
    clear: str
    plural: str


_ACTIONS: Mapping[DefinitionKind, _Actions] = {
    DefinitionKind.PROPERTY: _Actions(
        find="get_metadef_properties",
        show="get_metadef_property",
        change="modify_metadef_property",
        remove="remove_metadef_property",
        clear="remove_metadef_property",
        plural="properties",
    ),
    DefinitionKind.OBJECT: _Actions(
        find="get_metadef_objects",
        show="get_metadef_object",
        change="modify_metadef_object",
        remove="delete_metadef_object",
        clear="delete_metadef_object",
        plural="objects",
    ),
    DefinitionKind.TAG: _Actions(
        find="get_metadef_tags",
        show="get_metadef_tag",
        change="modify_metadef_tag",
        remove="delete_metadef_tag",
        clear="delete_metadef_tags",
        plural="tags",
    ),
}

SORT_KEYS = ("created_at", "updated_at", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """Which of a namespace's definitions are asked for, and in what order; names break ties.

    A namespace has dozens of them, so they are read all and cut here.
    """

    limit: int | None = None
    marker: str | None = None
    sort_key: str = "created_at"
    descending: bool = True

    def of(self, definitions: Sequence[Definition]) -> list[Definition]:
        """Return what is asked for of all that there are.

        :raises MetadefNotFound: when the marker is none of them.
        """
        found = sorted(
            definitions,
            key=lambda one: (getattr(one, self.sort_key), one.name),
            reverse=self.descending,
        )
        if self.marker is not None:
            names = [definition.name for definition in found]
            if self.marker not in names:
                raise MetadefNotFound(kind="marker", name=self.marker)
            found = found[names.index(self.marker) + 1 :]
        return found if self.limit is None else found[: self.limit]


def find(
    world: World,
    caller: Identity,
    namespace: str,
    kind: DefinitionKind,
    excerpt: Excerpt | None = None,
) -> list[Definition]:
    """Return a namespace's definitions of a kind, newest first unless asked otherwise.

    :raises MetadefNotFound: when there is no namespace that the caller may see, or no marker.
    :raises Forbidden: when the caller may not list them.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, _ACTIONS[kind].find, inside)
        return (excerpt or Excerpt()).of(work.metadefs.definitions(namespace, kind))


def show(
    world: World, caller: Identity, namespace: str, kind: DefinitionKind, name: str
) -> Definition:
    """Return one definition.

    :raises MetadefNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not see it though they see the namespace.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, _ACTIONS[kind].show, inside)
        return work.metadefs.definition(namespace, kind, name)


def show_property_of(
    world: World, caller: Identity, namespace: str, name: str, resource_type: str
) -> Definition:
    """Return a property by the name that it has on things of a type: with that type's prefix.

    :raises MetadefNotFound: when the namespace is not for such things, the name has not the
        prefix, or there is no such property that the caller may see.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, _ACTIONS[DefinitionKind.PROPERTY].show, inside)
        associated = work.metadefs.associations([namespace]).get(namespace, ())
        prefixes = {one.resource_type: one.prefix or "" for one in associated}
        if resource_type not in prefixes:
            raise MetadefNotFound(kind="resource type association", name=resource_type)
        prefix = prefixes[resource_type]
        if not name.startswith(prefix):
            raise MetadefNotFound(kind=DefinitionKind.PROPERTY, name=name)
        short = name.removeprefix(prefix)
        found = work.metadefs.definition(namespace, DefinitionKind.PROPERTY, short)
    return replace(found, name=name)


def create(world: World, caller: Identity, namespace: str, new: Definition) -> Definition:
    """Add a definition to a namespace.

    :raises MetadefNotFound: when there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Duplicate: when it has one of this kind and name.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, ADD_ACTIONS[new.kind], inside)
        work.metadefs.define(namespace, new)
        work.events.append(about_definition(namespace, new, "create", caller))
        work.commit()
    return new


def update(
    world: World, caller: Identity, namespace: str, name: str, new: Definition
) -> Definition:
    """Replace a definition, its name included.

    :raises MetadefNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Duplicate: when the new name is taken.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, _ACTIONS[new.kind].change, inside)
        saved = work.metadefs.redefine(namespace, name, new)
        work.events.append(about_definition(namespace, saved, "update", caller, old_name=name))
        work.commit()
    return saved


def remove(
    world: World, caller: Identity, namespace: str, kind: DefinitionKind, name: str
) -> None:
    """Take a definition away.

    :raises MetadefNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the namespace is protected.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, _ACTIONS[kind].remove, inside)
        found = work.metadefs.definition(namespace, kind, name)
        require_unprotected(inside, f"{kind} '{name}'")
        work.metadefs.undefine(namespace, kind, name)
        work.events.append(about_definition(namespace, found, "delete", caller))
        work.commit()


def clear(world: World, caller: Identity, namespace: str, kind: DefinitionKind) -> None:
    """Take all definitions of a kind away.

    :raises MetadefNotFound: when there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not, or the namespace is protected.
    """
    actions = _ACTIONS[kind]
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, actions.clear, inside)
        require_unprotected(inside, f"its {actions.plural}")
        work.metadefs.undefine(namespace, kind)
        work.events.append(about_namespace(inside, f"delete_{actions.plural}", caller))
        work.commit()


def set_tags(
    world: World,
    caller: Identity,
    namespace: str,
    tags: Sequence[Definition],
    *,
    append: bool,
) -> None:
    """Give a namespace these tags in place of those it has, or besides them.

    :raises MetadefNotFound: when there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Duplicate: when a tag is named twice, or is there already and stays.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, "add_metadef_tags", inside)
        if not append:
            work.metadefs.undefine(namespace, DefinitionKind.TAG)
        for tag in tags:
            work.metadefs.define(namespace, tag)
            work.events.append(about_definition(namespace, tag, "create", caller))
        work.commit()
