# SPDX-License-Identifier: Apache-2.0
"""Store drivers that break one promise each, and the test that must catch each of them."""

from __future__ import annotations

import copy
import io
import itertools
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

from glancekit.core.contracts.store import CAPABILITIES
from glancekit.plugin import (
    Blob,
    BlobNotFound,
    ByteStream,
    Caller,
    FileStream,
    IteratorStream,
    Location,
    Remnant,
    StoreUnavailable,
    StrOpt,
    SupportsAcl,
    SupportsAdopt,
    SupportsBegin,
    SupportsCaller,
    SupportsClone,
    SupportsDirectUrl,
    SupportsLocalFile,
    SupportsPlaces,
    SupportsSweep,
    Usage,
)
from glancekit.testing.memory_store import MemoryStore


class AbleStore(
    MemoryStore,
    SupportsLocalFile,
    SupportsDirectUrl,
    SupportsClone,
    SupportsAcl,
    SupportsSweep,
    SupportsAdopt,
    SupportsCaller,
    SupportsPlaces,
    SupportsBegin,
):
    """A memory store that has every capability there is, and keeps its promises."""

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        super().__init__(options, name=name)
        self._folder = TemporaryDirectory()
        self._halves: dict[str, float] = {}
        self._caller: Caller | None = None
        self._is_begun = True

    @classmethod
    def unbegun(cls) -> Self:
        """Return one whose place was not made yet."""
        driver = cls()
        driver._is_begun = False
        return driver

    def begin(self) -> None:
        """Have a place from now on."""
        self._is_begun = True

    def check(self) -> None:
        """Insist on a place."""
        self._require_begun()

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Take all bytes, where there is a place for them."""
        self._require_begun()
        return super().write(image_id, source, size)

    def acting_for(self, caller: Caller) -> Self:
        """Share all there is."""
        acting = copy.copy(self)
        acting._caller = caller
        return acting

    def abandon(self, image_id: str) -> None:
        """Leave what a killed writer leaves."""
        self._halves[image_id] = time.monotonic()

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        """Yield what was left long enough ago, and None before: still looking."""
        end = time.monotonic() - age
        for image_id, since in list(self._halves.items()):
            yield None
            if since <= end:
                yield Remnant(image_id, image_id)

    def sweep(self, remnant: Remnant) -> None:
        """Forget it."""
        self._halves.pop(remnant.name, None)

    def befriend(self, image_id: str) -> None:
        """Leave what a stranger does."""
        self.blobs[f"{image_id}.notes"] = self.blobs["notes"] = b"nothing of the service's"

    def forget_strangers(self) -> None:
        """Remove it."""
        for name in [name for name in self.blobs if name.endswith("notes")]:
            del self.blobs[name]

    def adopt(self, path: Path, image_id: str) -> Location | None:
        """Take the file's bytes."""
        return self._put(image_id, path.read_bytes())

    def local_path(self, location: Location) -> Path | None:
        """Write the bytes to a file, and return its path."""
        path = Path(self._folder.name, location.url.rpartition("/")[2])
        path.write_bytes(self._blob(location))
        return path

    def direct_url(self, location: Location, ttl: int) -> str:
        """Return a URL that says what it is for."""
        return f"http://memory.invalid/{len(self._blob(location))}?ttl={ttl}"

    def clone(self, location: Location, image_id: str) -> Location:
        """Copy the bytes."""
        return self._put(image_id, self._blob(location))

    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        """See that there is something to grant."""
        self._blob(location)

    def details(self) -> dict[str, Any]:
        """Say in which folder the files are."""
        return {"folder": self._folder.name}

    def places(self) -> list[str]:
        """Say that it is a place of its own."""
        return [f"file:{self._folder.name}"]

    def close(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def _require_begun(self) -> None:
        if not self._is_begun:
            raise StoreUnavailable("its place was not made yet")

    def _put(self, image_id: str, data: bytes) -> Location:
        return MemoryStore.write(self, image_id, FileStream(io.BytesIO(data)), len(data))


class _Liar(AbleStore):
    """A store with something wrong in it; ``caught_by`` is the number of a kit's test."""

    caught_by: ClassVar[str]
    declares: ClassVar[frozenset[type]] = frozenset(CAPABILITIES)

    def leftovers(self) -> list[str]:
        """Show what is in it."""
        return list(self.blobs)


class LosesTheLastByte(_Liar):
    """Truncates what it is given."""

    caught_by = "s01"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        return self._put(image_id, b"".join(source)[:-1])


class StumblesOverNothing(_Liar):
    """Takes an image without bytes for a missing one."""

    caught_by = "s02"

    def open(self, location: Location) -> ByteStream:
        if not self._blob(location):
            raise BlobNotFound
        return super().open(location)


class TrustsTheDeclaredSize(_Liar):
    """Reads as many bytes as were declared, so none when nothing was."""

    caught_by = "s03"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        return self._put(
            image_id, b"".join(itertools.islice(source, size and 1000)) if size else b""
        )


class KeepsHalves(_Liar):
    """Publishes what it got before the source broke."""

    caught_by = "s04"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        got: list[bytes] = []
        try:
            got.extend(source)
        finally:
            location = self._put(image_id, b"".join(got))
        return location


class SwallowsErrors(_Liar):
    """Calls a broken upload a success."""

    caught_by = "s05"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        got: list[bytes] = []
        with suppress(RuntimeError):
            got.extend(source)
        return self._put(image_id, b"".join(got))


class DeletesGhosts(_Liar):
    """Says that it deleted what was not there."""

    caught_by = "s06"

    def delete(self, location: Location) -> None:
        with suppress(BlobNotFound):
            super().delete(location)


class OpensGhosts(_Liar):
    """Opens a missing image as an empty one."""

    caught_by = "s07"

    def open(self, location: Location) -> ByteStream:
        try:
            return super().open(location)
        except BlobNotFound:
            return FileStream(io.BytesIO())


class CountsFromOne(_Liar):
    """Is off by one at the end of a range."""

    caught_by = "s08"

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        return super().open_range(location, offset, length - 1 if offset else length)


class HasOneCursor(_Liar):
    """Shares one position among all readers of an image."""

    caught_by = "s09"

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        super().__init__(options, name=name)
        self._open: dict[bytes, io.BytesIO] = {}

    def open(self, location: Location) -> ByteStream:
        blob = self._blob(location)
        return _Unclosed(self._open.setdefault(blob, io.BytesIO(blob)))


class HasOneBuffer(_Liar):
    """Collects all writers' bytes in one place."""

    caught_by = "s10"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        self._buffer = b""
        for chunk in source:
            self._buffer += chunk
        return self._put(image_id, self._buffer)


class HidesAnAbility(_Liar):
    """Can what it does not declare, so that nothing would test it."""

    caught_by = "s11"
    declares = frozenset(CAPABILITIES) - {SupportsAcl}


class TellsWhatIsNoJson(_Liar):
    """Describes itself with an object of its own."""

    caught_by = "s33"

    def details(self) -> dict[str, Any]:
        return {"folder": Path("/somewhere")}


class RenamesArguments(_Liar):
    """Would fail when called by name, or be called with the wrong one."""

    caught_by = "s12"

    def open_range(self, location: Location, start: int, end: int) -> ByteStream:
        return super().open_range(location, start, end)


class LeaksPartialData(_Liar):
    """Forgets to clean up after a broken upload."""

    caught_by = "s13"

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        super().__init__(options, name=name)
        self._partial: dict[str, list[bytes]] = {}

    def leftovers(self) -> list[str]:
        """Show what is in it, partial data included."""
        return [*super().leftovers(), *self._partial]

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        temporary = f"{image_id}.{uuid.uuid4()}"
        self._partial[temporary] = []
        self._partial[temporary].extend(source)
        return self._put(image_id, b"".join(self._partial.pop(temporary)))


class LastWriterWins(_Liar):
    """Looks whether the name is free before the write, and not when it takes it."""

    caught_by = "s14"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        location = super().write(
            image_id, IteratorStream(self._gone_by_then(image_id, source)), size
        )
        return location

    def _gone_by_then(self, image_id: str, source: ByteStream) -> Iterator[bytes]:
        yield from source
        self.blobs.pop(image_id, None)


class Overwrites(_Liar):
    """Replaces what has the name already."""

    caught_by = "s15"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        self.blobs.pop(image_id, None)
        return super().write(image_id, source, size)


class SaysNothingOfItsOptions(_Liar):
    """Has an option without a help text."""

    caught_by = "s16"
    options = (StrOpt("mystery"),)  # type: ignore[assignment]


class RoundsSizes(_Liar):
    """Tells sizes in whole KiB."""

    caught_by = "s17"

    def size(self, location: Location) -> int | None:
        return -(-len(self._blob(location)) // 1024) * 1024


class InventsSchemes(_Liar):
    """Returns locations of a scheme that it does not name."""

    caught_by = "s18"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        url = super().write(image_id, source, size).url
        return Location(url=url.replace("memory://", "mem://"))


class KeepsHiddenKnowledge(_Liar):
    """Finds only what it was handed as the very same object."""

    caught_by = "s19"

    def __init__(self, options: Any = None, *, name: str = "memory") -> None:
        super().__init__(options, name=name)

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        location = super().write(image_id, source, size)
        return Location(url=location.url, metadata={"secret": _Secret(image_id)})

    def open(self, location: Location) -> ByteStream:
        if not isinstance(location.metadata.get("secret"), _Secret):
            raise BlobNotFound
        return super().open(location)


class GivesTooMuch(_Liar):
    """Hands out whole chunks however few bytes are asked for."""

    caught_by = "s20"

    def open(self, location: Location) -> ByteStream:
        return _Whole(self._blob(location))


class GoesOnAfterClose(_Liar):
    """Gives bytes from closed streams."""

    caught_by = "s21"

    def open(self, location: Location) -> ByteStream:
        return _Unclosed(io.BytesIO(self._blob(location)))


class TakesShortForTheEnd(_Liar):
    """Stops at the first read that gives less than it asked for."""

    caught_by = "s22"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        got = b""
        while chunk := source.read(4096):
            got += chunk
            if len(chunk) < 4096:
                break
        return self._put(image_id, got)


class ReadsAllAtOnce(_Liar):
    """Wants an image as one piece."""

    caught_by = "s23"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        return self._put(image_id, source.read())


class PublishesEarly(_Liar):
    """Shows an image while it is being written."""

    caught_by = "s24"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        location = super().write(image_id, FileStream(io.BytesIO()), 0)
        try:
            for chunk in source:
                self.blobs[image_id] += chunk
        except BaseException:
            del self.blobs[image_id]
            raise
        return location


class DiscardsEverything(_Liar):
    """Cleans up other images, too."""

    caught_by = "s25"

    def discard(self, image_id: str) -> None:
        self.blobs.clear()


class ForgetsToDiscard(_Liar):
    """Leaves a finished blob where its writer died before it could say so."""

    caught_by = "s25"

    def discard(self, image_id: str) -> None:
        """Do nothing."""


class HasMoreThanAll(_Liar):
    """Tells a free room larger than the whole."""

    caught_by = "s26"

    def usage(self) -> Usage:
        return Usage(total=1, free=2)


class FallsIllOnTheSecondLook(_Liar):
    """Its health check breaks something."""

    caught_by = "s27"
    _looks = 0

    def check(self) -> None:
        self._looks += 1
        if self._looks > 1:
            raise RuntimeError("checked before")


class PointsElsewhere(_Liar):
    """Names a file that does not hold the image's bytes."""

    caught_by = "s28"

    def local_path(self, location: Location) -> Path | None:
        path = super().local_path(location)
        if path is not None:
            path.write_bytes(b"something else")
        return path


class GivesHalfAUrl(_Liar):
    """Returns a path for a URL."""

    caught_by = "s29"

    def direct_url(self, location: Location, ttl: int) -> str:
        return "/" + super().direct_url(location, ttl).rpartition("/")[2]


class ClonesByName(_Liar):
    """Hands out the first image again, which goes away under the second one."""

    caught_by = "s30"

    def clone(self, location: Location, image_id: str) -> Location:
        return Location(url=location.url.replace("memory://", "memory:///"))


class GrantsOnce(_Liar):
    """Fails when readers are named again."""

    caught_by = "s31"
    _granted = False

    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        if self._granted:
            raise RuntimeError("granted before")
        self._granted = True


class AdoptsOverOthers(_Liar):
    """Takes the place of an image that is there."""

    caught_by = "s35"

    def adopt(self, path: Path, image_id: str) -> Location | None:
        self.discard(image_id)
        return super().adopt(path, image_id)


class ForgetsTheFirst(_Liar):
    """Leaves one out of what is in it."""

    caught_by = "s37"

    def contents(self) -> Iterator[Blob]:
        return itertools.islice(super().contents(), 1, None)


class SaysNotSinceWhen(_Liar):
    """Does not tell how old a blob is, so that a new one would be taken for an old one."""

    caught_by = "s37"

    def blob(self, location: Location) -> Blob:
        return replace(super().blob(location), modified_at=None)


class ListsStrangers(_Liar):
    """Tells of all that is in it, whosever it is."""

    caught_by = "s38"

    def contents(self) -> Iterator[Blob]:
        for name in list(self.blobs):
            yield Blob(f"memory://memory/{name}", name[:36])


class ListsHalves(_Liar):
    """Tells of what is being written."""

    caught_by = "s38"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        self._halves[image_id] = time.monotonic()
        try:
            return super().write(image_id, source, size)
        finally:
            del self._halves[image_id]

    def contents(self) -> Iterator[Blob]:
        yield from super().contents()
        for image_id in list(self._halves):
            yield Blob(f"memory://memory/{image_id}", image_id)


class HasOneListing(_Liar):
    """Gives all that list it the same one."""

    caught_by = "s39"
    _listing: Iterator[Blob] | None = None

    def contents(self) -> Iterator[Blob]:
        if self._listing is None:
            self._listing = super().contents()
        return self._listing


class IsElsewhereEachTime(_Liar):
    """Has another name for its place each time that it is asked."""

    caught_by = "s40"

    def places(self) -> list[str]:
        return [f"memory:{id(object())}/{time.monotonic_ns()}"]


class BeginsByItself(_Liar):
    """Makes its place whenever that is missing, be it because it is away."""

    caught_by = "s41"

    def check(self) -> None:
        self.begin()


class BeginsAnew(_Liar):
    """Empties its place where it should leave it alone."""

    caught_by = "s41"

    def begin(self) -> None:
        super().begin()
        self.blobs.clear()


class SweepsWhatIsBeingWritten(_Liar):
    """Takes what somebody is writing for what was left."""

    caught_by = "s34"

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        return super().remnants(0)


class StopsLookingWhereItSwept(_Liar):
    """Gives up looking once something was swept meanwhile."""

    caught_by = "s34"

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        count = len(self._halves)
        return takewhile(lambda _: len(self._halves) == count, super().remnants(age))


class WritesTokensDown(_Liar):
    """Puts what the caller authenticated with where everybody can read it."""

    caught_by = "s36"

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        location = super().write(image_id, source, size)
        if self._caller is None:
            return location
        return Location(url=location.url, metadata={"token": self._caller.token})


class ClosesOnce(_Liar):
    """Fails when it is closed again."""

    caught_by = "s32"

    def close(self) -> None:
        super().close()
        del self._folder


class _Secret(str):
    """Text to a JSON encoder, and something else when it comes back."""


class _Unclosed(FileStream):
    def close(self) -> None:
        """Keep the file open."""


class _Whole(ByteStream):
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1, /) -> bytes:
        data, self._data = self._data, b""
        return data

    def close(self) -> None:
        """Do nothing."""


LIARS: tuple[type[_Liar], ...] = tuple(_Liar.__subclasses__())
"""All of them."""
