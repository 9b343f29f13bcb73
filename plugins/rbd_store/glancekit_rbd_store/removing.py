# SPDX-License-Identifier: Apache-2.0
"""How images go, with their snapshot and with clones of both formats; and what is left to do once
the last clone of one is gone."""

from __future__ import annotations

import logging
from typing import Any

from glancekit.plugin import BlobInUse, GlancekitError, StoreFull
from glancekit_rbd_store.bindings import bindings, translated
from glancekit_rbd_store.places import SNAPSHOT

LOG = logging.getLogger(__name__)

DELETED = "glancekit_deleted"
"""Metadata of images that this store put into the trash. Others' it leaves there."""


def remove(pool: Any, name: str) -> None:
    """Remove an image and its snapshot, or say that it is in use and change nothing.

    Clones of the old format hold an image: it is in use. Those of the new one do not: the image
    goes into the pool's trash, from where ``purge`` removes it after its last clone.
    """
    rbd = bindings().rbd
    with translated("deleting"):
        _let_go(pool, name)
        try:
            rbd.RBD().remove(pool, name)
        except rbd.ImageHasSnapshots:
            _to_trash(pool, name)
        except rbd.ImageBusy:  # somebody has opened it meanwhile
            _restore(pool, name)
            raise
        except rbd.ImageNotFound as error:
            # In a full pool librbd says so of an image that it could not move to its trash.
            if exists(pool, name):
                raise StoreFull from error


def exists(pool: Any, name: str) -> bool:
    """Say whether a pool has an image of this name."""
    rbd = bindings().rbd
    with translated("looking up"):
        try:
            rbd.Image(pool, name, read_only=True).close()
        except rbd.ImageNotFound:
            return False
    return True


def purge(pool: Any) -> None:
    """Remove from the trash what this store put there and no clone needs any more."""
    rbd = bindings().rbd
    with translated("emptying the trash"):
        for entry in list(rbd.RBD().trash_list(pool)):
            try:
                _purge_one(pool, entry["id"])
            except (rbd.ImageBusy, rbd.ImageHasSnapshots, rbd.ImageNotFound):
                continue  # still needed, or another process was faster


def purge_quietly(pool: Any) -> None:
    """Purge beside something that must not fail with it."""
    try:
        purge(pool)
    except GlancekitError as error:
        LOG.warning("rbd: the trash was not emptied: %s", error)


def _let_go(pool: Any, name: str) -> None:
    """Remove the snapshot, if nothing holds on to the image."""
    rbd = bindings().rbd
    with rbd.Image(pool, name) as image:
        own = [each["name"] for each in image.list_snaps() if not _is_trashed(each)]
        if set(own) - {SNAPSHOT} or len(list(image.watchers_list())) > 1:  # one is this handle
            raise BlobInUse
        if own:
            if image.is_protected_snap(SNAPSHOT):
                image.unprotect_snap(SNAPSHOT)
            image.remove_snap(SNAPSHOT)


def _restore(pool: Any, name: str) -> None:
    with bindings().rbd.Image(pool, name) as image:
        image.create_snap(SNAPSHOT)
        image.protect_snap(SNAPSHOT)


def _to_trash(pool: Any, name: str) -> None:
    rbd = bindings().rbd
    with rbd.Image(pool, name) as image:
        image.metadata_set(DELETED, "yes")
    try:
        rbd.RBD().trash_move(pool, name, 0)
    except rbd.ImageBusy:
        _restore(pool, name)
        raise


def _purge_one(pool: Any, image_id: str) -> None:
    rbd = bindings().rbd
    with rbd.Image(pool, image_id=image_id) as image:
        try:
            image.metadata_get(DELETED)
        except KeyError:
            return
        for each in list(image.list_snaps()):
            # The clone's owner removes it with the clone, if only the owner's rights allow that.
            image.remove_snap_by_id(each["id"])
    rbd.RBD().trash_remove(pool, image_id)


def _is_trashed(snapshot: Any) -> bool:
    """Say whether it was removed already, and is kept for clones of the new format only."""
    return bool(snapshot["namespace"] == bindings().rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH)
