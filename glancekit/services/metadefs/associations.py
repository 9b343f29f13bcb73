# SPDX-License-Identifier: Apache-2.0
"""Resource types, and which namespaces are for things of which type."""

from __future__ import annotations

from collections.abc import Sequence

from glancekit.core.errors import MetadefNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.metadef import Association, ResourceType
from glancekit.services.metadefs.namespaces import find_visible, require, require_unprotected
from glancekit.services.metadefs.notices import about_association
from glancekit.services.world import World


def resource_types(world: World, caller: Identity) -> Sequence[ResourceType]:
    """Return every type of things that any namespace was ever for.

    :raises Forbidden: when the caller may not list them.
    """
    world.access.require(caller, "list_metadef_resource_types", owner=caller.project_id)
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.metadefs.resource_types()


def find(world: World, caller: Identity, namespace: str) -> Sequence[Association]:
    """Return what types of things a namespace is for.

    :raises MetadefNotFound: when there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not list them.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, "get_metadef_resource_type", inside)
        return work.metadefs.associations([namespace]).get(namespace, ())


def create(world: World, caller: Identity, namespace: str, new: Association) -> Association:
    """Let a namespace be for things of a type, which is made known by that if it was not.

    :raises MetadefNotFound: when there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not.
    :raises Duplicate: when it is for things of that type already.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, "add_metadef_resource_type_association", inside)
        work.metadefs.associate(namespace, new)
        work.events.append(about_association(namespace, new, "create", caller))
        work.commit()
    return new


def remove(world: World, caller: Identity, namespace: str, resource_type: str) -> None:
    """Let a namespace not be for things of a type any more.

    :raises MetadefNotFound: when it is not, or there is no namespace that the caller may see.
    :raises Forbidden: when the caller may not, or the namespace is protected.
    """
    with world.metadata.unit_of_work() as work:
        inside = find_visible(world, work, caller, namespace)
        require(world, caller, "remove_metadef_resource_type_association", inside)
        associated = work.metadefs.associations([namespace]).get(namespace, ())
        found = [one for one in associated if one.resource_type == resource_type]
        if not found:
            raise MetadefNotFound(kind="resource type association", name=resource_type)
        require_unprotected(inside, f"its association with '{resource_type}'")
        work.metadefs.dissociate(namespace, resource_type)
        work.events.append(about_association(namespace, found[0], "delete", caller))
        work.commit()
