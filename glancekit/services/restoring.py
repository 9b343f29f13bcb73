# SPDX-License-Identifier: Apache-2.0
"""Deleting images so that they can be had back for a while, and having them back.

While an image waits, its copies stay ``active`` and are nobody's to read: its own status says so.
Once the scrubber has begun with it (services/scrubbing.py) none is, and there is no way back.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Conflict, Forbidden, ImageNotFound
from glancekit.core.model.identity import Identity, Viewer
from glancekit.core.model.image import Image
from glancekit.core.model.status import ImageStatus, require_transition
from glancekit.services.notices import about
from glancekit.services.world import World

WAS_DEACTIVATED = "os_glance_was_deactivated"
"""Property of a deleted image that nobody but administrators could read before."""


def put_away(work: UnitOfWork, image: Image, caller: Identity | None) -> None:
    """Let an image that has data wait for the scrubber."""
    require_transition(image.id, image.status, ImageStatus.PENDING_DELETE)
    kept = dict(image.properties)
    if image.status is ImageStatus.DEACTIVATED:
        kept[WAS_DEACTIVATED] = "True"
    waiting = replace(image, status=ImageStatus.PENDING_DELETE, properties=kept)
    saved = work.images.save(waiting, expect_status={image.status})
    work.events.append(about(saved, "image.delete", caller))


def is_restorable(image: Image) -> bool:
    """Say whether an image was deleted and all of its data is still there."""
    return image.status is ImageStatus.PENDING_DELETE and bool(image.locations)


def may_list(caller: Identity, image: Image) -> bool:
    """Say whether a deleted image is shown to a caller who asks for such ones."""
    is_own = image.owner is not None and image.owner == caller.project_id
    return is_restorable(image) and (caller.is_admin or is_own)


def restore(world: World, caller: Identity, image_id: str) -> None:
    """Put a deleted image back as it was.

    :raises ImageNotFound: when there is none, or it is neither the caller's nor theirs to see.
    :raises Forbidden: when the caller may not.
    :raises Conflict: when it is not deleted, or its data is being removed.
    """
    with world.metadata.unit_of_work() as work:
        image = work.images.get(image_id, viewer=Viewer.of(caller))
        _require_right(world, caller, image)
        if image.status is not ImageStatus.PENDING_DELETE:
            raise Conflict(f"Image {image_id} is {image.status}; there is nothing to restore")
        if not is_restorable(image):
            raise Conflict(f"The data of image {image_id} is being removed; it cannot come back")
        properties = dict(image.properties)
        was_deactivated = properties.pop(WAS_DEACTIVATED, None) is not None
        status = ImageStatus.DEACTIVATED if was_deactivated else ImageStatus.ACTIVE
        back = replace(image, status=status, properties=properties)
        saved = work.images.save(back, expect_status={ImageStatus.PENDING_DELETE})
        work.events.append(about(saved, "image.restore", caller))
        work.commit()


def _require_right(world: World, caller: Identity, image: Image) -> None:
    if world.access.may(caller, "restore_image", owner=image.owner, image=image):
        return
    is_known = world.access.may(caller, "get_image", owner=image.owner, image=image)
    is_deleted = image.status is ImageStatus.PENDING_DELETE
    if not is_known or (is_deleted and image.owner != caller.project_id):
        raise ImageNotFound(image_id=image.id)
    raise Forbidden(action="restore this image")
