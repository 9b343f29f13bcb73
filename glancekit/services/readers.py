# SPDX-License-Identifier: Apache-2.0
"""Who may read a copy in the medium itself (``SupportsAcl``), kept in step with the image.

Who may read it here is the business of ``access``; when this is looked at again after a failure,
of ``builtins/readers``.
"""

from __future__ import annotations

import logging
from typing import Protocol

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.contracts.store import SupportsAcl
from glancekit.core.errors import ImageNotFound, StoreError
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility
from glancekit.core.stores import Stores
from glancekit.services import acting
from glancekit.services.world import World

log = logging.getLogger(__name__)

_FOR_ALL = frozenset({Visibility.PUBLIC, Visibility.COMMUNITY})


class Granting(Protocol):
    """What granting works with."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...

    @property
    def stores(self) -> Stores:
        """Where bytes live."""
        ...


def follow(world: World, caller: Identity, image: Image) -> None:
    """Let the stores know at once, in the caller's name, who may read an image now.

    Called after the commit. A store that cannot take it now hears of it again from the periodic
    task, which goes by the events of that commit.
    """
    if not keeps_readers(world.stores):
        return
    try:
        grant(acting.with_caller(world, caller, image.owner), image.id)
    except StoreError as error:
        log.warning("readers of image %s are not in its store yet: %s", image.id, error)


def keeps_readers(stores: Stores) -> bool:
    """Say whether any store knows who may read."""
    return any(store.supports(SupportsAcl) for store in stores)


def grant(world: Granting, image_id: str) -> None:
    """Give every copy of an image the readers that it has now.

    :raises StoreError: when a store cannot do it; the copies behind that one wait.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        try:
            image = work.images.get(image_id)
        except ImageNotFound:
            return
        is_shared = image.visibility is Visibility.SHARED
        members = work.members.of_image(image_id) if is_shared else ()
    readers = sorted(member.project_id for member in members)
    for location in image.locations:
        store = world.stores.by_id.get(location.store)
        if store is not None and store.supports(SupportsAcl):
            store.grant(location, readers, public=image.visibility in _FOR_ALL)
