# SPDX-License-Identifier: Apache-2.0
"""How images go, with their snapshot and with clones of both formats; and what is left to do once
the last clone of one is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from glancekit.plugin import BlobInUse, StoreFull
from glancekit_rbd_store.bindings import bindings, translated
from glancekit_rbd_store.places import SNAPSHOT

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


def unneeded(pool: Any) -> Iterator[tuple[str, str]]:
    """Yield id and name of the images that this store put into the trash and no clone needs."""
    rbd = bindings().rbd
    with translated("looking into the trash"):
        for entry in list(rbd.RBD().trash_list(pool)):
            try:
                is_unneeded = _is_unneeded(pool, entry["id"])
            except rbd.ImageNotFound:
                continue  # another process was faster
            if is_unneeded:
                yield entry["id"], entry["name"]


def purge(pool: Any, trashed_id: str) -> None:
    """Remove an image from the trash; harmless when it is gone or a clone needs it."""
    rbd = bindings().rbd
    with (
        translated("emptying the trash"),
        suppress(rbd.ImageBusy, rbd.ImageHasSnapshots, rbd.ImageNotFound),
    ):
        with rbd.Image(pool, image_id=trashed_id) as image:
            for each in list(image.list_snaps()):
                # The clone's owner removes it with the clone, if only the owner's rights allow it.
                image.remove_snap_by_id(each["id"])
        rbd.RBD().trash_remove(pool, trashed_id)


def _is_unneeded(pool: Any, trashed_id: str) -> bool:
    rbd = bindings().rbd
    with rbd.Image(pool, image_id=trashed_id, read_only=True) as image:
        try:
            image.metadata_get(DELETED)
            for each in list(image.list_snaps()):
                image.set_snap_by_id(each["id"])
                if list(image.list_children2()):
                    return False
        except KeyError:
            return False  # somebody else put it there
        except rbd.PermissionError:
            return False  # there are clones, in a pool that we may not look into
    return True


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


def _is_trashed(snapshot: Any) -> bool:
    """Say whether it was removed already, and is kept for clones of the new format only."""
    return bool(snapshot["namespace"] == bindings().rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH)
