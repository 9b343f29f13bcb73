# SPDX-License-Identifier: Apache-2.0
"""Taking an image out of use for a while, and back.

Its data stays; meanwhile only administrators get it.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.errors import Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.model.status import ImageStatus
from glancekit.services.images import find_permitted
from glancekit.services.notices import about
from glancekit.services.world import World

_SWITCHABLE = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


def deactivate(world: World, caller: Identity, image_id: str) -> None:
    """Take an active image out of use; nothing happens when it is.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the image is neither active nor deactivated.
    """
    _switch(world, caller, image_id, ImageStatus.DEACTIVATED, "deactivate")


def reactivate(world: World, caller: Identity, image_id: str) -> None:
    """Put a deactivated image back into use; nothing happens when it is.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the image is neither active nor deactivated.
    """
    _switch(world, caller, image_id, ImageStatus.ACTIVE, "reactivate")


def _switch(world: World, caller: Identity, image_id: str, to: ImageStatus, action: str) -> None:
    with world.metadata.unit_of_work() as work:
        image = find_permitted(world, work, caller, image_id, action)
        if image.status not in _SWITCHABLE:
            raise Forbidden(action=f"{action} an image that is {image.status}")
        if image.status is to:
            return
        saved = work.images.save(replace(image, status=to), expect_status={image.status})
        work.events.append(about(saved, "image.update", caller))
        work.commit()
