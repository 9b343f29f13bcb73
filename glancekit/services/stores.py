# SPDX-License-Identifier: Apache-2.0
"""The stores as callers may know them, choosing one, and taking copies of data out of them.

Deleting the image itself is the business of ``images``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import (
    BlobInUse,
    Conflict,
    Forbidden,
    MetadataError,
    NotFound,
    StatusConflict,
    StoreError,
)
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.stores import Store
from glancekit.services import acting
from glancekit.services.images import find_visible, remove_bytes
from glancekit.services.notices import about
from glancekit.services.world import World

log = logging.getLogger(__name__)

ROWS = 500
"""Records of copies that are read at a time."""


@dataclass(frozen=True, slots=True)
class StoreDetail:
    """A store and how its driver is set up."""

    store: Store
    properties: Mapping[str, Any]


def choose(world: World, caller: Identity, image: Image, size: int | None) -> Store:
    """Return the store that takes an image for which the caller named none.

    Ask before anything is written, and outside of a transaction: a plugin may take its time.
    """
    chosen = world.hooks.choose_store(image, size, caller.project_id, world.stores)
    return world.stores.default if chosen is None else world.stores.get(chosen)


def details(world: World, caller: Identity) -> list[StoreDetail]:
    """Return the stores and how they are set up; of one that does not answer, what is known here.

    :raises Forbidden: when the caller is neither a service nor an administrator.
    """
    world.access.require(caller, "stores_info_detail", owner=caller.project_id)
    return [StoreDetail(store, _properties(store)) for store in world.stores]


def _properties(store: Store) -> Mapping[str, Any]:
    try:
        return store.details()
    except StoreError as error:
        log.warning("store %s does not say how it is set up: %s", store.id, error)
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """An image's data in a store that is to go: ``elsewhere`` are the stores with a good copy."""

    image_id: str
    status: LocationStatus
    elsewhere: tuple[str, ...]


def left_in(metadata: MetadataDriver, store_id: str) -> Iterator[Left]:
    """Yield what records say to be in a store, what is being written or removed there included."""
    rows: Sequence[Location] = ()
    while True:
        with metadata.unit_of_work(read_only=True) as work:
            rows = work.locations.walk(limit=ROWS, after=(rows[-1].id or 0) if rows else 0)
            here = [row for row in rows if row.store == store_id]
            copies = work.locations.of_images({row.image_id for row in here}) if here else ()
        good: dict[str, list[str]] = {}
        for copy in copies:
            is_good = copy.status is LocationStatus.ACTIVE and not copy.is_lost
            if is_good and copy.store != store_id:
                good.setdefault(copy.image_id, []).append(copy.store)
        for row in here:
            elsewhere = tuple(good.get(row.image_id, ()))
            yield Left(image_id=row.image_id, status=row.status, elsewhere=elsewhere)
        if len(rows) < ROWS:
            return


def delete_from(world: World, caller: Identity, store_id: str, image_id: str) -> None:
    """Delete the copy of an image that is in one store.

    A store that cannot remove it now is asked again by the reaper; the image is rid of it at once.

    :raises Conflict: when there is no such store here, or the image is not active.
    :raises ImageNotFound: when there is no image that the caller may see.
    :raises NotFound: when the image has no copy in that store.
    :raises Forbidden: when the caller may not, or it is the last copy that can be read.
    :raises BlobInUse: when clones or snapshots depend on it; everything is as it was.
    """
    if store_id not in world.stores.by_id:
        known = ", ".join(world.stores.by_id)
        raise Conflict(f"There is no store '{store_id[:80]}' here; the stores are: {known}")

    def in_store(image: Image) -> list[Location]:
        found = [location for location in image.locations if location.store == store_id]
        if not found:
            raise NotFound(f"Image {image_id} has no data in store '{store_id}'")
        return found

    remove_copies(world, caller, image_id, in_store)


def remove_copies(
    world: World, caller: Identity, image_id: str, choose: Callable[[Image], list[Location]]
) -> None:
    """Delete those copies of an active image that ``choose`` says; one has to stay.

    :raises ImageNotFound: when there is no image that the caller may see.
    :raises Forbidden: when the caller may not, or none would stay that can be read.
    :raises StatusConflict: when the image is not active.
    :raises BlobInUse: when clones or snapshots depend on a copy; that one stays.
    """
    with world.metadata.unit_of_work() as work:
        image = find_visible(world, work, caller, image_id)
        for action in ("get_image_location", "delete_image_location"):
            world.access.require(caller, action, owner=image.owner, image=image)
        if image.status is not ImageStatus.ACTIVE:
            raise StatusConflict(image_id=image_id, status=image.status, wanted=ImageStatus.ACTIVE)
        going = choose(image)
        left = [copy for copy in image.locations if copy not in going]
        _require_data_left(world, image, going, left)
        condemned = [
            replace(
                copy,
                status=LocationStatus.PENDING_DELETE,
                holder=copy.holder or world.lease.holder,
            )
            for copy in going
        ]
        # Whoever repairs a copy lets go of it when it sees, and the reaper removes it then.
        repaired = {copy.id for copy in going if copy.holder is not None}
        for copy in condemned:
            work.locations.save(copy, expect_status=LocationStatus.ACTIVE)
        saved = work.images.save(image, expect_status={image.status})
        work.events.append(about(replace(saved, locations=tuple(left)), "image.update", caller))
        work.commit()
    going_now = [copy for copy in condemned if copy.id not in repaired]
    remove_condemned(acting.with_caller(world, caller, image.owner), going_now)


def _require_data_left(
    world: World, image: Image, going: Sequence[Location], left: Sequence[Location]
) -> None:
    """See that an image keeps a copy, and one that can be read if it had one.

    :raises Forbidden: when it would not.
    """

    def can_be_read(copy: Location) -> bool:
        return not copy.is_lost and copy.store in world.stores.by_id

    if not left:
        raise Forbidden(action=f"delete the last copy of the data of image {image.id}")
    if any(map(can_be_read, going)) and not any(map(can_be_read, left)):
        raise Forbidden(
            action=f"delete the last good copy of the data of image {image.id}: the others are "
            "lost, or in stores that are not here"
        )


def remove_condemned(world: World, condemned: Sequence[Location]) -> None:
    """Remove the bytes of each, then what is written of it; put back what is in use.

    :raises BlobInUse: when clones or snapshots depend on one.
    """
    refusal: BlobInUse | None = None
    for done, copy in enumerate(condemned):
        try:
            _remove(world, copy)
        except BlobInUse as error:
            refusal = error
        except MetadataError:
            for left in condemned[done:]:  # to the reaper, once the database is back
                world.lease.later(partial(_rewrite, world, replace(left, holder=None)))
            raise
    if refusal is not None:
        raise refusal


def _remove(world: World, copy: Location) -> None:
    try:
        removed = remove_bytes(world, copy)
    except BlobInUse:
        _rewrite(world, replace(copy, status=LocationStatus.ACTIVE, holder=None))
        raise
    if not removed:
        _rewrite(world, replace(copy, holder=None))
    elif copy.id is not None:
        with world.metadata.unit_of_work() as work:
            work.locations.remove(copy.id)
            work.commit()


def _rewrite(world: World, copy: Location) -> None:
    with world.metadata.unit_of_work() as work:
        work.locations.save(copy, expect_status=LocationStatus.PENDING_DELETE)
        work.commit()
