# SPDX-License-Identifier: Apache-2.0
"""The store contract: what every place for bytes must do, and what some can do besides.

The base is what the weakest honest store (a web server) can do. Everything else is a capability: a
Protocol of its own. The class line of a driver is its spec sheet; capabilities are computed once,
when the store is mounted. Digests, limits, deadlines, inspection and error stamping are the core's
business, not a driver's.

What the core guarantees to every driver:

* it is built as ``Driver(options, name=store_id)`` and told nothing else; ``options`` has the
  attributes that ``Driver.options`` declares, and ``read_only`` where an operator has said that
  nothing is added. ``__init__`` keeps them and does no work;
* methods are called from many threads at once;
* ``image_id`` is a canonical lower-case UUID; a source is read once, from one thread;
* ``location`` is what ``write`` returned (or an operator registered), with ``image_id`` filled in,
  and ``size`` when the image's size is known.

What every driver promises:

* a missing object is ``BlobNotFound``, a full medium ``StoreFull``, a medium that refuses the
  service ``StoreDenied``, one that does not answer ``StoreUnavailable``;
* a stream it returns holds nothing after ``close()``.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from glancekit.core.model.image import Location
from glancekit.core.stream import ByteStream


@runtime_checkable
class StoreDriver(Protocol):
    """What each store can do.

    ``api_level`` is the level of ``glancekit.plugin`` it was written for; ``options`` the options
    (oslo.config) of its section; ``schemes`` the URL schemes of its locations. ``shared_sections``
    names sections of the service itself that it goes by, too: each is an attribute of the driver's
    ``options``, with that section's values.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()
    shared_sections: ClassVar[Sequence[str]] = ()
    schemes: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def open(self, location: Location) -> ByteStream:
        """Open the bytes at a location for reading, from the first on.

        :raises BlobNotFound: when nothing is there. Before the stream is returned, so that another
            copy can be taken.
        """
        ...

    @abstractmethod
    def size(self, location: Location) -> int | None:
        """Return how many bytes are at a location, or None when the store cannot tell.

        :raises BlobNotFound: when nothing is there.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and threads; the driver is not used afterwards."""
        ...


@runtime_checkable
class SupportsWrite(Protocol):
    """New images can be put into it."""

    @abstractmethod
    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Take all bytes of ``source`` and return where they are.

        The bytes are invisible under their name until this returns, and durable when it does.
        ``size`` is the declared number of bytes, None when unknown; the source itself raises when
        the declaration turns out wrong, so reading until ``b""`` is all that is asked. What the
        source raises is passed on. On any error nothing readable is left, and data that was there
        under that name before is untouched.

        :raises BlobExists: when the name is taken.
        :raises StoreFull: when the medium is full.
        """
        ...

    @abstractmethod
    def discard(self, image_id: str) -> None:
        """Remove all that an interrupted ``write`` left, its finished blob included.

        Called for a writer that is known to be dead, so also right after a restart; also when
        there is nothing to remove.
        """
        ...


@runtime_checkable
class SupportsDelete(Protocol):
    """Images can be removed from it."""

    @abstractmethod
    def delete(self, location: Location) -> None:
        """Remove the bytes at a location for good.

        :raises BlobNotFound: when nothing is there.
        :raises BlobInUse: when clones or snapshots depend on it; nothing was removed.
        """
        ...


@runtime_checkable
class SupportsRange(Protocol):
    """Reading can start and end in the middle."""

    @abstractmethod
    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open ``length`` bytes from ``offset`` on; the core asks for nothing beyond the end.

        :raises BlobNotFound: when nothing is there.
        """
        ...


@runtime_checkable
class SupportsLocalFile(Protocol):
    """The bytes are a plain file of this host, which the API may send with ``sendfile``."""

    @abstractmethod
    def local_path(self, location: Location) -> Path | None:
        """Return the file's path, or None when this one is not a plain file here.

        :raises BlobNotFound: when nothing is there.
        """
        ...


@runtime_checkable
class SupportsDirectUrl(Protocol):
    """Clients may be sent to the bytes themselves."""

    @abstractmethod
    def direct_url(self, location: Location, ttl: int) -> str:
        """Return a URL that works for ``ttl`` seconds or longer, for whoever has it."""
        ...


@runtime_checkable
class SupportsClone(Protocol):
    """A second image can be made of a first one inside the store, no byte copied by us."""

    @abstractmethod
    def clone(self, location: Location, image_id: str) -> Location:
        """Make the bytes of one image those of another too; the promises are ``write``'s."""
        ...


@runtime_checkable
class SupportsAcl(Protocol):
    """The medium itself knows who may read."""

    @abstractmethod
    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        """Let exactly these projects read (everybody when ``public``), and nobody else.

        Nothing to do where nobody comes to the medium but by way of the service.

        :raises BlobNotFound: when nothing is there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """The room of a store in bytes; None where it cannot tell."""

    total: int | None
    free: int | None


@runtime_checkable
class SupportsUsage(Protocol):
    """It can tell how full it is."""

    @abstractmethod
    def usage(self) -> Usage:
        """Return the room there is."""
        ...


@runtime_checkable
class SupportsHealth(Protocol):
    """It can be asked whether it works, cheaply."""

    @abstractmethod
    def check(self) -> None:
        """Return when the store can do its work; what it raises says why it cannot."""
        ...


@runtime_checkable
class SupportsDetails(Protocol):
    """It can tell how it is set up."""

    @abstractmethod
    def details(self) -> Mapping[str, Any]:
        """Return what other services go by (a pool, a folder), as JSON values; no credentials.

        Names are upstream's where it has them. Administrators and services see it.
        """
        ...


@runtime_checkable
class SupportsPlaces(Protocol):
    """It can tell what its images lie in: of two stores on one place, each would remove what is
    the other's, so the service does not start with them."""

    @abstractmethod
    def places(self) -> Collection[str]:
        """Return names of each folder, bucket or pool that it writes to.

        Whoever else writes to the same has one of the names, too, however differently the two are
        configured; whoever does not has none. A folder of this host is what ``place_of_folder``
        says. Told from the options alone, before anything works; no credentials: names are shown.
        """
        ...


@runtime_checkable
class SupportsBegin(Protocol):
    """Its place can be made, and is told from one that was made and is away: a folder whose file
    system is not mounted looks like a new one to whoever does not know."""

    @abstractmethod
    def begin(self) -> None:
        """Make the place for images where there is none; harmless where there is one.

        The core calls it when the service starts, by several processes at a time, and only while
        no record leads into the store. No other method makes the place: where it is missing they
        raise ``StoreUnavailable``, and never say that an image is gone.
        """
        ...


def place_of_folder(folder: Path) -> str:
    """Return the name of a folder of this host as a place, whatever links lead to it."""
    return f"file:{os.path.realpath(folder)}"


@dataclass(frozen=True, slots=True)
class Remnant:
    """Something in a store that is no image. ``name`` is the store's own word for it; ``image_id``
    the image that it was to become or was, None where the store cannot tell."""

    name: str
    image_id: str | None


@runtime_checkable
class SupportsSweep(Protocol):
    """It can look for what takes room in it and is no image, where no record leads to it."""

    @abstractmethod
    def remnants(self, age: float) -> Iterable[Remnant | None]:
        """Return what unfinished writes left that was not touched for ``age`` seconds, and what
        deleted images left that nothing needs any more.

        What may be somebody else's is none of it: names that no write of this driver has. Each
        step has a deadline, so a driver that needs many requests to look through all yields None
        after one or some: still looking. What is swept meanwhile does not end it.
        """
        ...

    @abstractmethod
    def sweep(self, remnant: Remnant) -> None:
        """Remove one of them; harmless when it is gone, or needed again, by now.

        The core has made sure that no writer of that image is alive.
        """
        ...


@dataclass(frozen=True, slots=True)
class Blob:
    """The finished bytes of an image, as the store itself tells of them; no record is needed.

    ``url`` is that of the location which ``write`` returned, and ``image_id`` its image's, which
    is part of the url in every form that a location of these bytes may have. ``modified_at`` is
    when they got their last byte or their name, by whichever clock is at hand. ``size`` (bytes)
    and ``modified_at`` are None where it was not told.
    """

    url: str
    image_id: str
    size: int | None = None
    modified_at: datetime | None = None


@runtime_checkable
class SupportsListing(Protocol):
    """It can tell what is in it, where no record leads to it."""

    @abstractmethod
    def contents(self) -> Iterator[Blob]:
        """Yield all finished images that a write of this driver, or of upstream's, put here.

        None of what they are made of (segments, snapshots), of what is being written or was left,
        and of what may be somebody else's: names that are no image's id. In any order. It is asked
        for as it is used: at most some thousand are held in memory, if the medium lets it be.
        What comes or goes meanwhile may be among them or not; what stays is, once.
        """
        ...

    @abstractmethod
    def blob(self, location: Location) -> Blob:
        """Return what is at a location now; ``modified_at`` is told, and is no guess.

        :raises BlobNotFound: when nothing is there, or what turns out to be no finished image: a
            closer look may tell what a listing does not.
        """
        ...


@runtime_checkable
class SupportsAdopt(Protocol):
    """A file of this host can become an image, no byte copied: by a link, or by shared blocks."""

    @abstractmethod
    def adopt(self, path: Path, image_id: str) -> Location | None:
        """Make a finished file an image's, or return None where that needs copying.

        The promises are ``write``'s. The file stays under its own name, too, until the core
        removes it; nobody changes it any more.

        :raises BlobExists: when the name is taken.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """In whose name a store is asked, and whose image it is about; both are ids of projects.

    ``token`` is what the caller authenticated with. It is None where nobody is waiting (work in
    the background, which has no caller), and where callers have none.
    """

    owner: str | None
    project_id: str | None = None
    token: str | None = field(default=None, repr=False)


@runtime_checkable
class SupportsCaller(Protocol):
    """The medium itself knows projects: it is asked in the caller's name, not the service's."""

    @abstractmethod
    def acting_for(self, caller: Caller) -> Self:
        """Return this driver as it is for a caller. Called for each request: it does no work.

        What it returns has the same capabilities and shares everything with this driver, which
        is the one that is closed. It keeps the token no longer than it lives itself, and shows it
        to nobody but the medium. This driver itself acts as the service.
        """
        ...


CAPABILITIES: tuple[type, ...] = (
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsLocalFile,
    SupportsDirectUrl,
    SupportsClone,
    SupportsAcl,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
    SupportsPlaces,
    SupportsBegin,
    SupportsSweep,
    SupportsListing,
    SupportsAdopt,
    SupportsCaller,
)
"""All there are, in the order in which tables show them."""
