# SPDX-License-Identifier: Apache-2.0
"""An image on its way into a datastore: under a name of its own until it is complete.

Which requests these are is the business of the folder and the vCenter.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from glancekit.plugin import (
    CHUNK_SIZE,
    BlobExists,
    BlobInUse,
    BlobNotFound,
    BlobUnavailable,
    ByteStream,
    GlancekitError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)
from glancekit_vmware_store.folder import Folder
from glancekit_vmware_store.options import Datastore, Settings
from glancekit_vmware_store.places import Place, place_of
from glancekit_vmware_store.vcenter import Room, VCenter

log = logging.getLogger(__name__)

_PARTIAL = re.compile(r"(?P<image_id>[0-9a-f-]{36})\.[0-9a-f]{32}\.part")
"""What a file is called before it has its name."""

_SPARE = 16 << 20
"""Bytes below which a datastore counts as full to what comes without its length, and after a write
to it failed."""

_SETTLING = 2.0
"""Seconds within which the server has noticed that the rest of an upload will not come."""

_PAUSE = 0.1


class Writer:
    """Puts images into the datastores and takes away what is left of broken attempts."""

    def __init__(self, vcenter: VCenter, folder: Folder, settings: Settings) -> None:
        self._vcenter = vcenter
        self._folder = folder
        self._settings = settings
        self._lock = threading.Lock()
        self._being_published: set[str] = set()
        self._begun_in: dict[str, Datastore | None] = {}
        """Where this process has begun the writes that are not over, or over and not cleaned up
        after. None: nowhere yet."""

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Place:
        """Write all bytes of the source, and only when all are there give them their name."""
        self._begun_in[image_id] = None
        try:
            final = self._written(image_id, source, size)
        except BlobExists:  # the name is another's, so nothing will be discarded under it
            self._begun_in.pop(image_id, None)
            raise
        self._begun_in.pop(image_id, None)
        return final

    def _written(self, image_id: str, source: ByteStream, size: int | None) -> Place:
        rooms = self._vcenter.rooms()
        self._require_unused(image_id, rooms)
        datastore = self._choose(rooms, _SPARE if size is None else size)
        first = source.read(CHUNK_SIZE)  # it may be long in coming, and the session end meanwhile
        self._begun_in[image_id] = datastore
        self._vcenter.make_folder(datastore)
        final = place_of(datastore, image_id, self._settings)
        partial = place_of(datastore, f"{image_id}.{uuid.uuid4().hex}.part", self._settings)
        counted = _Counted(first, source)
        try:
            self._put(partial, counted, size)
            self._publish(image_id, partial, final, among=rooms)
        except BaseException:
            self._give_up(partial)
            raise
        return final

    def discard(self, image_id: str) -> None:
        """Remove an image and all that was to become it, in all datastores that are there.

        :raises BlobUnavailable: when one is away that may have some of it, or a host still holds
            it. Where this process began the write it knows which one it chose, and needs no other:
            no write begins before what is left of earlier ones is discarded.
        """
        chosen = self._begun_in.get(image_id)
        may_have_it = {chosen} if image_id in self._begun_in else set(self._settings.datastores)
        failures = []
        for datastore in self._settings.datastores:
            try:
                self._discard_in(datastore, image_id, is_needed=datastore in may_have_it)
            except BlobUnavailable as error:
                failures.append(error)
        if failures:
            raise failures[0]
        self._begun_in.pop(image_id, None)

    def partial_files(self, age: float) -> list[tuple[Place, str]]:
        """Return the files that were to become images and that nobody has written to for so many
        seconds, each with the image's id."""
        return [
            (place_of(datastore, name, self._settings), partial["image_id"])
            for datastore in self._vcenter.rooms()
            for name, seen in self._vcenter.files_like(datastore, ["*.part"]).items()
            if (partial := _PARTIAL.fullmatch(name)) and seen.left_alone >= age
        ]

    def remove_partial(self, place: Place) -> None:
        """Remove such a file, also when it is gone.

        :raises StoreDenied: when it is something else.
        """
        if not _PARTIAL.fullmatch(place.path.rpartition("/")[2]):
            raise StoreDenied(f"{place.name} is no unfinished image")
        self._remove(place)

    # -- how

    def _discard_in(self, datastore: Datastore, image_id: str, *, is_needed: bool) -> None:
        try:
            self._vcenter.room(datastore)  # one that is away may be long in answering a search
            left = self._vcenter.files_like(datastore, [image_id, f"{image_id}.*.part"])
        except BlobUnavailable:
            if is_needed:
                raise
            return
        for name in left:
            self._remove(place_of(datastore, name, self._settings))

    def _require_unused(self, image_id: str, among: Iterable[Datastore]) -> None:
        """Insist that no datastore has the image, of those that were there just now."""
        for datastore in among:
            try:
                is_there = self._folder.has(place_of(datastore, image_id, self._settings))
            except BlobUnavailable as error:
                log.info("no telling whether an image is there by now: %s", error.detail)
                continue
            if is_there:
                raise BlobExists

    def _choose(self, rooms: Mapping[Datastore, Room], size: int) -> Datastore:
        """Return the datastore of the highest weight that has room; of equals the emptiest.

        :raises StoreFull: when none has.
        """
        fitting = [of for of, room in rooms.items() if room.free >= size]
        if not fitting:
            raise StoreFull
        weights = self._settings.datastores
        return max(fitting, key=lambda of: (weights[of], rooms[of].free))

    def _put(self, partial: Place, counted: _Counted, size: int | None) -> None:
        try:
            self._folder.put(partial, counted, size)
            arrived = self._folder.size(partial)
        except StoreUnavailable:
            self._require_room(partial.datastore, (size or 0) - counted.given)
            raise
        if arrived != counted.given:
            raise StoreUnavailable(f"{counted.given} bytes were sent and {arrived} arrived")

    def _require_room(self, datastore: Datastore, missing: int) -> None:
        """Tell a full datastore from other trouble: not every server says what it was."""
        try:
            free = self._vcenter.room(datastore, anew=True).free
        except GlancekitError as error:
            # What went wrong before is on its way to the caller.
            log.info("no telling whether %s is full: %s", datastore.name, error)
            return
        if free < max(_SPARE, missing):
            raise StoreFull

    def _publish(
        self, image_id: str, partial: Place, final: Place, *, among: Iterable[Datastore]
    ) -> None:
        """Give the file its name, and be sure of what came of it.

        :raises BlobExists: when another write was quicker.
        """
        with self._claim(image_id):
            self._require_unused(image_id, among)
            try:
                self._vcenter.rename(partial, final)
            except (BlobExists, BlobNotFound, StoreUnavailable):
                # The answer to the call that did it may have been lost. Nobody else has a file
                # of the partial one's name: where it is gone, it is the one that is there now.
                if self._folder.has(partial) or not self._folder.has(final):
                    raise

    @contextmanager
    def _claim(self, image_id: str) -> Iterator[None]:
        """Keep other threads from publishing the same image, in another datastore even.

        Between processes there is one look just before the name is given, and what the server
        itself refuses; that an image has one writer at a time is the service's own promise.
        """
        with self._lock:
            if image_id in self._being_published:
                raise BlobExists
            self._being_published.add(image_id)
        try:
            yield
        finally:
            with self._lock:
                self._being_published.discard(image_id)

    def _give_up(self, partial: Place) -> None:
        """Remove what has arrived; the server may be about to make the file of it only now."""
        end = time.monotonic() + _SETTLING
        while True:
            try:
                self._vcenter.delete(partial)
                return
            except (BlobNotFound, BlobInUse) as error:
                if time.monotonic() > end:
                    _tell_what_is_left(partial, error)
                    return
                time.sleep(_PAUSE)
            except GlancekitError as error:
                # What went wrong before is on its way to the caller; discard will find the file.
                log.warning("%s is left in the datastore: %s", partial.name, error)
                return

    def _remove(self, place: Place) -> None:
        """Remove a file, also when it is gone.

        :raises BlobUnavailable: when it is no image yet and still held by the host that the server
            handed its bytes to. It is not in use as an image's is: nobody has it in a drive.
        """
        try:
            self._vcenter.delete(place)
        except BlobNotFound:
            log.info("%s is gone already", place.name)
        except BlobInUse as error:
            if not place.path.endswith(".part"):
                raise
            raise BlobUnavailable(f"{place.name} is still held by a host") from error


def _tell_what_is_left(partial: Place, error: GlancekitError) -> None:
    if isinstance(error, BlobInUse):
        log.warning("%s is left in the datastore: a host still holds it", partial.name)
    else:
        log.info("%s has not come to be a file", partial.name)


class _Counted:
    """A source's chunks, counted."""

    def __init__(self, first: bytes, source: ByteStream) -> None:
        self._first = first
        self._source = source
        self.given = 0

    def __iter__(self) -> Iterator[bytes]:
        chunk, self._first = self._first, b""
        while chunk:
            self.given += len(chunk)
            yield chunk
            chunk = self._source.read(CHUNK_SIZE)
