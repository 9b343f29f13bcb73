# SPDX-License-Identifier: Apache-2.0
"""Tags of an image, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from glancekit.core.errors import TagNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.services import attributes
from glancekit.services.images import find_permitted
from glancekit.services.notices import about
from glancekit.services.world import World


def add(world: World, caller: Identity, image_id: str, tag: str) -> None:
    """Put a tag on an image; nothing happens when it has it.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not change it.
    :raises LimitExceeded: when it has too many.
    """
    tag = attributes.tag_text(tag)
    _save(world, caller, image_id, lambda image: image.tags | {tag})


def remove(world: World, caller: Identity, image_id: str, tag: str) -> None:
    """Take a tag off an image.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not change it.
    :raises TagNotFound: when it does not have the tag.
    """

    def without(image: Image) -> frozenset[str]:
        if tag not in image.tags:
            raise TagNotFound(image_id=image_id, tag=tag)
        return image.tags - {tag}

    _save(world, caller, image_id, without)


def _save(
    world: World, caller: Identity, image_id: str, change: Callable[[Image], frozenset[str]]
) -> None:
    with world.metadata.unit_of_work() as work:
        before = find_permitted(world, work, caller, image_id, "modify_image")
        after = replace(before, tags=change(before))
        if after.tags == before.tags:
            return
        attributes.check_whole(after, world.settings, before=before)
        saved = work.images.save(after, expect_status={before.status})
        work.events.append(about(saved, "image.update", caller))
        work.commit()
