# SPDX-License-Identifier: Apache-2.0
"""How images go, with their snapshot and with clones of both formats; and what is left to do once
the last clone of one is gone, or when whoever removed one died over it."""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from glancekit.plugin import BlobInUse, StoreFull, is_image_id
from glancekit_rbd_store.bindings import bindings, require_odd, translated
from glancekit_rbd_store.places import SNAPSHOT

LOG = logging.getLogger(__name__)

DELETED = "glancekit_deleted"
"""Metadata of images that this store removes, from before the first step on. What others put into
the trash is left there."""

_TRASH = "rbd_trash"
"""The object in which librbd keeps what is in a pool's trash."""

_PAGE = 1000


def remove(pool: Any, name: str, snapshot: str = SNAPSHOT) -> None:
    """Remove an image and its snapshot, or say that it is in use and change nothing.

    Clones of the old format hold an image: it is in use. Those of the new one do not: the image
    stays in the pool's trash, from where ``purge`` removes it after its last clone. By way of the
    trash goes every image: whoever dies over a removal leaves one there that ``unneeded`` finds.
    """
    rbd = bindings().rbd
    with translated("deleting"):
        try:
            image_id = _let_go(pool, name, snapshot)
        except rbd.ImageNotFound:
            _remove_wreck(pool, name)
            return
        _to_trash(pool, name, snapshot)
    purge(pool, image_id)


def exists(pool: Any, name: str) -> bool:
    """Say whether a pool has an image of this name."""
    rbd = bindings().rbd
    with translated("looking up"):
        try:
            rbd.Image(pool, name, read_only=True).close()
        except rbd.ImageNotFound:
            return False
    return True


def make_removable(pool: Any) -> None:
    """Make the object of the trash: librbd makes it for the first image, but in a full pool it
    cannot."""
    rados = bindings().rados
    with rados.WriteOpCtx() as operation:
        operation.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
        pool.operate_write_op(operation, _TRASH)


def unneeded(pool: Any) -> Iterator[tuple[str, str] | None]:
    """Yield id and name of the images that this store put into the trash and no clone needs, and
    None for each other one: to look at one takes some requests."""
    rbd = bindings().rbd
    with translated("looking into the trash"):
        for image_id in _trashed(pool):
            found = None
            try:
                name = rbd.RBD().trash_get(pool, image_id)["name"]
                if _is_unneeded(pool, image_id, name):
                    found = image_id, name
            except (rbd.ImageNotFound, IndexError):
                pass  # it is gone; or here for a reason that the bindings have no word for
            except rbd.Error as error:
                require_odd(error)
                LOG.info("rbd: what is in the trash as %s is left there: %s", image_id, error)
            yield found


def purge(pool: Any, image_id: str) -> None:
    """Remove an image from the trash; harmless when it is gone or a clone needs it."""
    rbd = bindings().rbd
    with (
        translated("emptying the trash"),
        suppress(rbd.ImageBusy, rbd.ImageHasSnapshots, rbd.ImageNotFound),
    ):
        with suppress(rbd.ImageNotFound), rbd.Image(pool, image_id=image_id) as image:
            # Another removal at the same time may have made it good, just before it came here.
            image.metadata_set(DELETED, "yes")
            for each in list(image.list_snaps()):
                _unprotect(image, each)
                # The clone's owner removes it with the clone, if only the owner's rights allow it.
                image.remove_snap_by_id(each["id"])
        _remove_trashed(pool, image_id)


def _unprotect(image: Any, snapshot: Mapping[str, Any]) -> None:
    named = snapshot["namespace"] == bindings().rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    if named and image.is_protected_snap(snapshot["name"]):
        image.unprotect_snap(snapshot["name"])


def _trashed(pool: Any) -> Iterator[str]:
    """Yield the ids of what is in the trash.

    Not by librbd's list of it: the bindings of 16.2 fail at an image that is being migrated.
    """
    rados, after = bindings().rados, ""
    while True:
        with rados.ReadOpCtx() as operation:
            found, _ = pool.get_omap_vals(operation, after, "id_", _PAGE)
            try:
                pool.operate_read_op(operation, _TRASH)
            except rados.ObjectNotFound:
                return  # nothing was ever put into it
            keys = [key for key, _ in found]
        yield from (key.removeprefix("id_") for key in keys)
        if len(keys) < _PAGE:
            return
        after = keys[-1]


def _is_unneeded(pool: Any, image_id: str, name: str) -> bool:
    rbd = bindings().rbd
    try:
        with rbd.Image(pool, image_id=image_id, read_only=True) as image:
            image.metadata_get(DELETED)
            for each in list(image.list_snaps()):
                image.set_snap_by_id(each["id"])
                if list(image.list_children2()):
                    return False
    except KeyError:
        return False  # somebody else put it there
    except rbd.PermissionError:
        return False  # there are clones, in a pool that we may not look into
    except rbd.ImageNotFound:
        # Nothing but its name is left, by a removal that ended just before its end. One whose
        # header is damaged is not found either.
        return is_image_id(name.partition(".")[0]) and not _has_header(pool, image_id)
    return True


def _has_header(pool: Any, image_id: str) -> bool:
    try:
        pool.stat(f"rbd_header.{image_id}")
    except bindings().rados.ObjectNotFound:
        return False
    return True


def _let_go(pool: Any, name: str, snapshot: str) -> str:
    """Remove the snapshot, if nothing holds on to the image, and return the image's id."""
    rbd = bindings().rbd
    with rbd.Image(pool, name) as image:
        try:
            _require_unused(image, snapshot)
            image.metadata_set(DELETED, "yes")
            if snapshot in _snapshots(image):
                if image.is_protected_snap(snapshot):
                    image.unprotect_snap(snapshot)
                image.remove_snap(snapshot)
        except (BlobInUse, rbd.ImageBusy):
            _reprieve(image, snapshot)
            raise
        return str(image.id())


def _require_unused(image: Any, snapshot: str) -> None:
    if _snapshots(image) - {snapshot} or len(list(image.watchers_list())) > 1:  # one is our own
        raise BlobInUse


def _reprieve(image: Any, snapshot: str) -> None:
    """Make good what a removal has done, this one or one that ended midway."""
    try:
        image.metadata_get(DELETED)
    except KeyError:
        return
    if snapshot not in _snapshots(image):
        image.create_snap(snapshot)
    if not image.is_protected_snap(snapshot):
        image.protect_snap(snapshot)
    image.metadata_remove(DELETED)


def _to_trash(pool: Any, name: str, snapshot: str) -> None:
    rbd = bindings().rbd
    try:
        rbd.RBD().trash_move(pool, name, 0)
    except rbd.ImageBusy:  # somebody has opened it meanwhile
        with rbd.Image(pool, name) as image:
            _reprieve(image, snapshot)
        raise
    except rbd.ImageNotFound as error:
        # In a full pool librbd says so when it cannot make the object of the trash.
        if exists(pool, name):
            raise StoreFull from error
        raise


def _remove_wreck(pool: Any, name: str) -> None:
    """Remove an image of which only parts are there: who made or removed it died over it.

    :raises rbd.ImageNotFound: when there is nothing of it.
    """
    bindings().rbd.RBD().trash_move(pool, name, 0)
    for image_id in [found[0] for found in unneeded(pool) if found and found[1] == name]:
        purge(pool, image_id)


def _remove_trashed(pool: Any, image_id: str) -> None:
    rbd = bindings().rbd
    try:
        rbd.RBD().trash_remove(pool, image_id)
    except rbd.OSError as error:
        if error.errno != errno.EUCLEAN:
            raise
        # Who moved it here died before the last step, which is to say that it has arrived.
        arrived = struct.pack("<I", len(image_id)) + image_id.encode() + bytes((0, 1))
        pool.execute(_TRASH, "rbd", "trash_state_set", arrived)
        rbd.RBD().trash_remove(pool, image_id)


def _snapshots(image: Any) -> set[str]:
    """Return the names of the snapshots, but for those that were removed and are kept for clones
    of the new format only, and for those that go by themselves: mirroring makes them, and moving
    the image into the trash ends it."""
    rbd = bindings().rbd
    passing = (rbd.RBD_SNAP_NAMESPACE_TYPE_TRASH, rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR)
    return {each["name"] for each in image.list_snaps() if each["namespace"] not in passing}
