# SPDX-License-Identifier: Apache-2.0
"""The driver ``rbd``: an image is the RBD image ``<pool>/<image_id>`` with the protected snapshot
``snap``, complete or not there.

A write goes to an image of another name, which is renamed at the end; that fails where the name is
taken. Digests and limits are the core's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any, ClassVar

from glancekit.plugin import (
    Blob,
    BlobExists,
    BlobInUse,
    BlobNotFound,
    ByteStream,
    Location,
    Remnant,
    StoreDenied,
    StoreDriver,
    SupportsClone,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
    Usage,
    is_image_id,
)
from glancekit_rbd_store.bindings import bindings, meaning_of, translated
from glancekit_rbd_store.cluster import Cluster
from glancekit_rbd_store.options import MIB, OPTIONS, Settings, settings_of
from glancekit_rbd_store.places import SCHEME, SNAPSHOT, Place, place_of
from glancekit_rbd_store.reading import ImageStream
from glancekit_rbd_store.removing import exists, purge, remove, unneeded
from glancekit_rbd_store.sources import set_apart
from glancekit_rbd_store.writing import (
    Filler,
    NewImage,
    clear_name,
    freeze,
    unfinished,
    written_names,
)

_TRASHED = "trash:"
"""How remnants in the trash are called; an image's name in it is not what it is found by."""


class RbdStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsDirectUrl,
    SupportsClone,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
    SupportsSweep,
    SupportsListing,
    SupportsPlaces,
):
    """Images as RBD images."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = (SCHEME,)

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        self._cluster = Cluster(self._settings)

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the image at its snapshot."""
        return self._stream(location, 0, None)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open the image at its snapshot, and read from the offset on."""
        return self._stream(location, offset, length)

    def size(self, location: Location) -> int | None:
        """Return the image's size at its snapshot."""
        with self._cluster.session() as stack:
            image = self._image(stack, self._place(location))
            return int(image.size())

    def direct_url(self, location: Location, ttl: int) -> str:
        """Return the location's URL, by which nova and cinder make clones with their own keys."""
        return place_of(location.url).url

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Write an image under another name, make its snapshot, give it its name."""
        with set_apart(source) as apart, self._cluster.session() as stack:
            new = self._new(stack, image_id)
            begin = self._settings.chunk_size if size is None else size
            self._cluster.ask_monitor()
            new.create(begin)
            with_image = stack.enter_context(ExitStack())
            image = with_image.enter_context(new.opened())
            filler = Filler(image, begin, self._settings)
            with_image.callback(filler.settle)
            filler.fill(apart)
            self._cluster.ask_monitor()
            freeze(image)
            with_image.close()
            new.publish()
            return self._location(image_id)

    def clone(self, location: Location, image_id: str) -> Location:
        """Make an image that shares the first one's data until one of them is deleted."""
        with self._cluster.session() as stack:
            place = self._place(location)
            parents = stack.enter_context(self._cluster.pool(self._pool_of(place)))
            new = self._new(stack, image_id)
            self._cluster.ask_monitor()
            new.clone(parents, place.image, place.snapshot or SNAPSHOT)
            with_image = stack.enter_context(ExitStack())
            freeze(with_image.enter_context(new.opened()))
            with_image.close()
            new.publish()
            return self._location(image_id)

    def discard(self, image_id: str) -> None:
        """Remove the image and all unfinished ones that were to become it."""
        unfinished = written_names(image_id)
        with self._cluster.session() as stack:
            pool = stack.enter_context(self._cluster.pool(self._settings.pool))
            with translated("discarding"):
                names = bindings().rbd.RBD().list(pool)
            for name in (image_id, *(name for name in names if name.startswith(unfinished))):
                if name in names:
                    self._remove(pool, name)
            clear_name(pool, image_id)

    def delete(self, location: Location) -> None:
        """Remove the image; one that clones of the new format need goes into the trash."""
        with self._cluster.session() as stack:
            place = self._place(location)
            pool = stack.enter_context(self._cluster.pool(self._pool_of(place)))
            self._cluster.ask_monitor()
            remove(pool, place.image, place.snapshot or SNAPSHOT)

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        """Yield unfinished images that are so old, and deleted ones that no clone needs now."""
        with self._cluster.session() as stack:
            pool = stack.enter_context(self._cluster.pool(self._settings.pool))
            for found in unfinished(pool, age):
                yield found and Remnant(*found)
            for found in unneeded(pool):
                yield found and Remnant(_TRASHED + found[0], found[1])

    def sweep(self, remnant: Remnant) -> None:
        """Remove an unfinished image, or a deleted one from the trash."""
        with self._cluster.session() as stack:
            pool = stack.enter_context(self._cluster.pool(self._settings.pool))
            if remnant.name.startswith(_TRASHED):
                self._cluster.ask_monitor()
                purge(pool, remnant.name.removeprefix(_TRASHED))
                return
            with suppress(BlobInUse):
                self._remove(pool, remnant.name)

    # -- what is there

    def contents(self) -> Iterator[Blob]:
        """Yield the images whose names are ids; librbd gives all names of a pool in one answer.

        How large and how old one is takes opening it, which ``blob`` does.
        """
        with self._cluster.session() as stack:
            pool = stack.enter_context(self._cluster.pool(self._settings.pool))
            with translated("listing"):
                names = [name for name in bindings().rbd.RBD().list(pool) if is_image_id(name)]
        for name in names:
            yield Blob(self._location(name).url, name)

    def blob(self, location: Location) -> Blob:
        """Open the image. One without the snapshot is not finished, or not of an image service."""
        place = self._place(location)
        if self._pool_of(place) != self._settings.pool or not is_image_id(place.image):
            raise BlobNotFound
        with self._cluster.session() as stack:
            image = self._image(stack, Place(place.fsid, place.pool, place.image, SNAPSHOT))
            with translated("looking at the snapshot"):
                made: datetime = image.get_snap_timestamp(image.snap_get_id(SNAPSHOT))
                size = int(image.size())
        url = self._location(place.image).url
        return Blob(url, place.image, size, made.replace(tzinfo=UTC))

    # -- questions

    def usage(self) -> Usage:
        """Return what the cluster says of the pool that the bytes go to, replication counted."""
        with self._cluster.connected() as connection:
            asked = json.dumps({"prefix": "df", "format": "json"})
            with translated("asking for the room"):
                code, found, _ = connection.client.mon_command(asked, b"")
        if code:
            raise meaning_of(code, "asking for the room")
        wanted = self._settings.data_pool or self._settings.pool
        for pool in json.loads(found)["pools"]:
            if pool["name"] == wanted:
                free = int(pool["stats"]["max_avail"])
                return Usage(total=free + int(pool["stats"]["stored"]), free=free)
        return Usage(total=None, free=None)  # the cluster's manager has not counted yet

    def check(self) -> None:
        """Ask the pools for an answer."""
        settings = self._settings
        with self._cluster.session() as stack:
            if settings.data_pool is not None:
                _ask(stack.enter_context(self._cluster.pool(settings.data_pool)))
            _ask(stack.enter_context(self._cluster.pool(settings.pool)))

    def details(self) -> dict[str, Any]:
        """Return the pool and the cluster, under upstream's names."""
        return {
            "chunk_size": self._settings.chunk_size // MIB,
            "pool": self._settings.pool,
            "thin_provisioning": self._settings.thin,
            "fsid": self._cluster.fsid,
        }

    def places(self) -> list[str]:
        """Return the pool, by each name that the configuration of Ceph has for the cluster."""
        return [f"rbd:{cluster}/{self._settings.pool}" for cluster in self._settings.clusters]

    def close(self) -> None:
        """Disconnect, once those who still read are done."""
        self._cluster.forget()

    # -- where things are

    def _place(self, location: Location) -> Place:
        place = place_of(location.url)
        if place.fsid is not None and place.fsid != self._cluster.fsid:
            raise StoreDenied("the location is in another Ceph cluster")
        return place

    def _pool_of(self, place: Place) -> str:
        return place.pool or self._settings.pool

    def _location(self, image_id: str) -> Location:
        place = Place(self._cluster.fsid, self._settings.pool, image_id, SNAPSHOT)
        return Location(url=place.url)

    def _remove(self, pool: Any, name: str) -> None:
        """Remove an image, if it is there: what cleans up behind a time-out may be faster."""
        self._cluster.ask_monitor()
        with suppress(BlobNotFound):
            remove(pool, name)

    def _new(self, stack: ExitStack, image_id: str) -> NewImage:
        pool = stack.enter_context(self._cluster.pool(self._settings.pool))
        if self._settings.data_pool is not None:  # librbd says of its absence: no such image
            stack.enter_context(self._cluster.pool(self._settings.data_pool))
        if exists(pool, image_id):
            raise BlobExists
        return stack.enter_context(NewImage(pool, image_id, self._settings))

    def _image(self, stack: ExitStack, place: Place) -> Any:
        """Open an image for reading.

        Not at its snapshot at once: of an image with an object map, as upstream makes them, librbd
        16.2 then ends the whole process when it is closed soon after, one time in thousands.
        """
        pool = stack.enter_context(self._cluster.pool(self._pool_of(place)))
        with translated("opening"):
            image = bindings().rbd.Image(pool, place.image, read_only=True)
            stack.callback(_close, image)
            if place.snapshot is not None:
                image.set_snap(place.snapshot)
        return image

    def _stream(self, location: Location, offset: int, length: int | None) -> ByteStream:
        place = self._place(location)
        with self._cluster.session() as stack:
            image = self._image(stack, place)
            with translated("opening"):
                known, end = image.id(), int(image.size())

            def look() -> None:
                with self._cluster.session() as another:
                    if self._image(another, place).id() != known:
                        raise BlobNotFound

            if length is not None:
                end = min(end, offset + length)
            return ImageStream(
                self._cluster,
                stack.pop_all(),
                image,
                (offset, end),
                settings=self._settings,
                look=look,
            )


def _close(image: Any) -> None:
    with translated("closing an image"):
        image.close()


def _ask(pool: Any) -> None:
    """Have an answer of a pool's OSD; that nothing was stored yet is one, too."""
    with translated("asking the pool"):
        try:
            pool.stat("rbd_directory")
        except bindings().rados.ObjectNotFound:
            return
