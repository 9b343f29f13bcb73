# SPDX-License-Identifier: Apache-2.0
"""Copies that are noted under a store which is not configured any more: a renamed or moved one.

Whether data is somewhere is for the stores to say: a copy is another store's if of all that serve
its URL exactly one has data of the right size there, and all others say that they have not.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import BlobNotFound, StoreDenied
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import LocationStatus
from glancekit.services.locations import scheme_of, stores_for
from glancekit.services.updating.rounds import Duty, rewrite
from glancekit.services.world import World

_NAMES = ("store", "backend")
"""What clients and upstream write into a location's metadata; it must not say otherwise."""


def _due(world: World, image: Image) -> str | None:
    lost = [copy.store for copy in image.locations if copy.store not in world.stores.by_id]
    if not lost:
        return None
    return f"no store is called {', '.join(lost)}; the store that has the data is looked for"


def _do(world: World, image: Image) -> bool:
    found = {
        copy.id: owner
        for copy in image.locations
        if copy.store not in world.stores.by_id
        and (owner := _owner(world, image, copy)) is not None
    }

    def change(work: UnitOfWork, stored: Image) -> Image | None:
        moving = [copy for copy in stored.locations if copy in image.locations]
        moving = [copy for copy in moving if copy.id in found]
        for copy in moving:
            _move(work, copy, found[copy.id])
        return stored if moving else None

    return bool(found) and rewrite(world, image.id, change)


def _owner(world: World, image: Image, copy: Location) -> str | None:
    """Return the one store that has a copy's data, None where there is none or several."""
    owners = []
    for store_id in stores_for(world, scheme_of(copy.url)):
        place = replace(copy, store=store_id, metadata=_without_store(copy))
        try:
            size = world.stores.get(store_id).size(place)
        except (BlobNotFound, StoreDenied):  # the latter: none of its own URLs
            continue
        if size is not None and size == image.size:
            owners.append(store_id)
    taken = {other.store for other in image.locations}
    return owners[0] if len(owners) == 1 and owners[0] not in taken else None


def _move(work: UnitOfWork, copy: Location, store_id: str) -> None:
    """Put a copy's row into another store's place, if it is still as it was looked at."""
    work.locations.save(copy, expect_status=LocationStatus.ACTIVE)
    if copy.id is not None:
        work.locations.remove(copy.id)
    work.locations.add(replace(copy, store=store_id, metadata=_without_store(copy), id=None))


def _without_store(copy: Location) -> dict[str, object]:
    return {name: value for name, value in copy.metadata.items() if name not in _NAMES}


STORE_IDS = Duty(name="store ids", due=_due, do=_do)
"""Gives copies whose store has another name by now the id of the store that has them."""
