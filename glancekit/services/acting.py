# SPDX-License-Identifier: Apache-2.0
"""In whose name stores are asked, where the medium itself knows projects (``SupportsCaller``).

A request asks in the caller's name. Work in the background has no caller: it asks as the service,
and says whose image it is about. Tokens are never written down.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.contracts.store import Caller, SupportsCaller
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import NOTHING, Image, Location
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.services.world import World

_OWNER = "owner"
"""Where the row of a copy that is being written says whose it is: its image may be gone by the
time that somebody has to look for its bytes."""


def with_caller(world: World, caller: Identity, owner: str | None) -> World:
    """Return the world with its stores as they are for a caller and an image of ``owner``."""
    stores = world.stores.acting_for(_caller(caller, owner))
    return world if stores is world.stores else replace(world, stores=stores)


def as_service(world: World, owner: str | None) -> World:
    """Return the world with its stores as the service itself asks them about an image of
    ``owner``."""
    stores = world.stores.acting_for(Caller(owner=owner))
    return world if stores is world.stores else replace(world, stores=stores)


def store_for(store: Store, caller: Identity, owner: str | None) -> Store:
    """Return one store as it is for a caller and an image of ``owner``."""
    return store.acting_for(_caller(caller, owner))


def store_of(stores: Stores, row: Location) -> Store:
    """Return a row's store as the service asks it, about the image of whoever the row names.

    :raises StoreNotFound: when there is no such store any more.
    """
    return stores.get(row.store).acting_for(Caller(owner=row.metadata.get(_OWNER)))


def intent(stores: Stores, store_id: str, image: Image, holder: str) -> Location:
    """Return the row which says that a copy of an image is about to be written to a store."""
    store = stores.by_id.get(store_id)
    knows_projects = store is not None and store.supports(SupportsCaller)
    names_owner = knows_projects and image.owner is not None
    return Location(
        url="",
        store=store_id,
        image_id=image.id,
        status=LocationStatus.WRITING,
        holder=holder,
        metadata={_OWNER: image.owner} if names_owner else NOTHING,
    )


def _caller(caller: Identity, owner: str | None) -> Caller:
    return Caller(owner=owner, project_id=caller.project_id, token=caller.token)
