# SPDX-License-Identifier: Apache-2.0
"""A store: a driver under a configured name, and what is the same for all. Bytes are the driver's.

What a driver cannot do is either done in its place (ranges) or refused before it is asked. How a
call is kept from hanging or failing others is the business of guard.py.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Self, TypeVar, cast

from glancekit.core import answers
from glancekit.core.breaker import Breaker, BreakerStatus
from glancekit.core.contracts.store import (
    CAPABILITIES,
    Blob,
    Caller,
    Remnant,
    StoreDriver,
    SupportsAcl,
    SupportsAdopt,
    SupportsBegin,
    SupportsCaller,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsListing,
    SupportsLocalFile,
    SupportsPlaces,
    SupportsRange,
    SupportsSweep,
    SupportsUsage,
    SupportsWrite,
    Usage,
)
from glancekit.core.counters import Counters
from glancekit.core.drivers import STORES
from glancekit.core.errors import (
    CapabilityMissing,
    StoreError,
    StoreFailed,
    StoreNotFound,
    StoreReadOnly,
)
from glancekit.core.guard import Guard, Tells
from glancekit.core.local_files import open_whole
from glancekit.core.model.image import Location
from glancekit.core.stream import CHUNK_SIZE, ByteStream
from glancekit.core.turns import require_turn

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds for one answer: a disk that was spun down wakes up in less, a dead mount never does."""

SWEEP_AFTER = 24.0
"""Hours after which what a writer left counts as forgotten: no upload takes that long."""

LISTED = 100
"""Blobs that a driver is asked for in one call, which has a deadline."""

DIRECT_TRANSFER_TTL = 300
"""Seconds to begin a download in: a client that was just told where to goes there at once."""


class DirectTransfer(StrEnum):
    """Whether clients are sent to the bytes themselves, where a store can do that."""

    NEVER = "never"
    """All bytes go through the service."""

    ASKED = "asked"
    """Who asks for it is; that client knows what not to show the store."""

    ALWAYS = "always"
    """Everybody is, and may show the store what it shows us."""


class Store:
    """A configured place for bytes; ``kind`` is its driver's name.

    ``draining``: nothing new is written to it, and other copies are read first. Signed URLs that
    clients are sent to (``direct_transfer``) work for ``direct_transfer_ttl`` seconds. What dead
    writers left is swept after ``sweep_after`` hours (0: never; ``sweep_dry_run``: only told).

    Calls that wait for one answer have a ``deadline`` in seconds (0: none), so that a hung mount
    costs its own requests and no others. The reads and writes of a byte loop have none: a slow
    medium is no dead one, and what hangs there hangs its own request only.

    A store that can be asked how it is (``SupportsHealth``) has a breaker. Others have none: each
    of their locations may be another server, whose silence says nothing of the rest.

    What the driver is asked is counted in ``counters``.
    """

    def __init__(
        self,
        id: str,
        driver: StoreDriver,
        *,
        kind: str = "",
        description: str = "",
        weight: int = 0,
        read_only: bool = False,
        draining: bool = False,
        is_default: bool = False,
        deadline: float = DEADLINE,
        breaker: Breaker | None = None,
        direct_transfer: DirectTransfer = DirectTransfer.NEVER,
        direct_transfer_ttl: int = DIRECT_TRANSFER_TTL,
        sweep_after: float = SWEEP_AFTER,
        sweep_dry_run: bool = False,
        counters: Counters | None = None,
    ) -> None:
        self.id = id
        self.driver = driver
        self.kind = kind
        self.description = description
        self.weight = weight
        self.read_only = read_only
        self.draining = draining
        self.is_default = is_default
        self.direct_transfer = direct_transfer
        self.direct_transfer_ttl = direct_transfer_ttl
        self.sweep_after = sweep_after
        self.sweep_dry_run = sweep_dry_run
        self.capabilities = frozenset(kind for kind in CAPABILITIES if isinstance(driver, kind))
        self._guard = Guard(
            id,
            deadline=deadline,
            breaker=Breaker() if breaker is None else breaker,
            probe=driver.check if isinstance(driver, SupportsHealth) else None,
            calls=(counters or Counters()).of(STORES, kind, f"store {id}"),
        )

    def acting_for(self, caller: Caller) -> Self:
        """Return this store as it is for a caller: itself, where the driver acts for nobody."""
        if not self.supports(SupportsCaller):
            return self
        acting = copy.copy(self)
        with self._guard.stamped("acting_for"):
            acting.driver = cast(StoreDriver, cast(SupportsCaller, self.driver).acting_for(caller))
        return acting

    # -- what it can do

    def supports(self, capability: type) -> bool:
        """Say whether the driver has a capability."""
        return capability in self.capabilities

    def require(self, capability: type) -> None:
        """Insist on a capability.

        :raises CapabilityMissing: when the driver lacks it.
        """
        if capability not in self.capabilities:
            raise CapabilityMissing(store=self.id, capability=capability.__name__)

    @property
    def is_writable(self) -> bool:
        """Images may be added to it."""
        return not self.read_only and not self.draining and self.supports(SupportsWrite)

    @property
    def is_available(self) -> bool:
        """It answered when it was last asked; calls go through."""
        return not self._guard.is_open

    @property
    def status(self) -> BreakerStatus:
        """Whether calls go through, and if not why."""
        return self._guard.status

    def require_writable(self) -> None:
        """Insist that an image can be added now.

        :raises StoreReadOnly: when nothing may be added.
        :raises StoreUnavailable: when it does not answer, as is known.
        """
        if self.draining:
            raise StoreReadOnly(
                f"Nothing can be added to store '{self.id}': it is being drained",
                store=self.id,
                operation="write",
            )
        if not self.is_writable:
            raise StoreReadOnly(store=self.id, operation="write")
        self._guard.require_closed("write")

    # -- bytes in and out

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Put an image into the store and return where it is.

        :raises StoreReadOnly: when nothing may be added, before the source is touched.
        """
        self.require_writable()
        driver = cast(SupportsWrite, self.driver)
        with self._guard.told("write"):
            location = answers.of_kind(Location, driver.write(image_id, source, size))
        return replace(location, store=self.id, image_id=image_id, size=size)

    def open(self, location: Location) -> ByteStream:
        """Open an image's bytes. A stream that ends before ``location.size`` raises instead."""
        return _Opened(self._guard, self._open(location), location.size)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open ``length`` bytes from ``offset`` on, which must be there.

        A driver without ranges is read and discarded up to the offset.
        """
        if self.supports(SupportsRange):
            driver = cast(SupportsRange, self.driver)
            stream = self._guard.answer(
                "open_range",
                lambda: answers.stream(driver.open_range(location, offset, length)),
                tells=Tells.NOTHING,
                too_late=_close,
            )
            return _Opened(self._guard, stream, length)
        stream = self._open(location)
        try:
            _skip(_Opened(self._guard, stream, offset))
        except BaseException:
            stream.close()
            raise
        return _Opened(self._guard, stream, length)

    def _open(self, location: Location) -> ByteStream:
        """Open it; that it works is known when the first byte has come."""
        return self._guard.answer(
            "open",
            lambda: answers.stream(self.driver.open(location)),
            tells=Tells.NOTHING,
            too_late=_close,
        )

    def discard(self, image_id: str) -> None:
        """Remove all that an interrupted write of this image left. Also in a read-only store."""
        self.require(SupportsWrite)
        driver = cast(SupportsWrite, self.driver)
        self._guard.answer("discard", lambda: driver.discard(image_id))

    def delete(self, location: Location) -> None:
        """Remove an image's bytes for good.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsDelete)
        driver = cast(SupportsDelete, self.driver)
        self._guard.answer("delete", lambda: driver.delete(location))

    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        """Let exactly these projects read a copy in the medium itself.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsAcl)
        driver = cast(SupportsAcl, self.driver)
        self._guard.answer("grant", lambda: driver.grant(location, readers, public=public))

    def adopt(self, path: Path, image_id: str, size: int) -> Location | None:
        """Make a file of this host an image's, no byte copied; None where that cannot be.

        :raises StoreReadOnly: when nothing may be added.
        """
        if not self.is_writable:
            raise StoreReadOnly(store=self.id, operation="adopt")
        if not self.supports(SupportsAdopt):
            return None
        driver = cast(SupportsAdopt, self.driver)
        location = self._guard.answer(
            "adopt", lambda: answers.of_kind_or_none(Location, driver.adopt(path, image_id))
        )
        if location is None:
            return None
        return replace(location, store=self.id, image_id=image_id, size=size)

    def remnants(self, age: float) -> Iterator[Remnant]:
        """Yield what takes room and is no image, and was not touched for ``age`` seconds.

        Each step has the deadline: to look through a large store takes much longer than one
        answer, and nobody waits for the whole.

        :raises CapabilityMissing: when the driver cannot.
        :raises StoreError: when it fails midway; what was yielded so far is true.
        """
        self.require(SupportsSweep)
        driver = cast(SupportsSweep, self.driver)
        looking = self._guard.answer("remnants", lambda: iter(driver.remnants(age)))

        def step() -> list[Remnant | None]:
            return [answers.of_kind_or_none(Remnant, found) for found in islice(looking, 1)]

        while found := self._guard.answer("remnants", step):
            require_turn()
            yield from filter(None, found)

    def sweep(self, remnant: Remnant) -> None:
        """Remove one such thing, of which the caller knows that nobody is writing it."""
        self.require(SupportsSweep)
        driver = cast(SupportsSweep, self.driver)
        self._guard.answer("sweep", lambda: driver.sweep(remnant))

    def contents(self) -> Iterator[Blob]:
        """Yield all finished images in the store. Each call of the driver has the deadline.

        :raises CapabilityMissing: when the driver cannot.
        :raises StoreError: when it fails midway; what was yielded so far is true.
        """
        self.require(SupportsListing)
        driver = cast(SupportsListing, self.driver)
        listing = self._guard.answer("contents", lambda: iter(driver.contents()))
        while page := self._guard.answer(
            "contents", lambda: [answers.of_kind(Blob, found) for found in islice(listing, LISTED)]
        ):
            yield from page

    def blob(self, location: Location) -> Blob:
        """Return what is at a location now, as the store itself tells of it.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsListing)
        driver = cast(SupportsListing, self.driver)
        return self._guard.answer(
            "blob", lambda: answers.dated(answers.of_kind(Blob, driver.blob(location)))
        )

    # -- questions

    def size(self, location: Location) -> int | None:
        """Return how many bytes are at a location, None when the store cannot tell."""
        return self._guard.answer(
            "size", lambda: answers.of_kind_or_none(int, self.driver.size(location), least=0)
        )

    def open_local(self, location: Location) -> BinaryIO | None:
        """Open the plain file that holds an image's bytes, None when there is no such file.

        One that has not ``location.size`` bytes raises instead. The file is opened within the
        call's deadline: a file server that is gone may let it be looked at still.
        """
        if not self.supports(SupportsLocalFile):
            return None
        driver = cast(SupportsLocalFile, self.driver)

        def open_it() -> BinaryIO | None:
            path = answers.of_kind_or_none(Path, driver.local_path(location))
            return None if path is None else open_whole(path, location.size)

        return self._guard.answer("local_path", open_it, too_late=_close_file)

    def direct_url(self, location: Location) -> str:
        """Return a URL that gives an image's bytes to whoever has it, for a while.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsDirectUrl)
        driver = cast(SupportsDirectUrl, self.driver)
        return self._guard.answer(
            "direct_url",
            lambda: answers.of_kind(str, driver.direct_url(location, self.direct_transfer_ttl)),
            tells=Tells.NOTHING,
        )

    def usage(self) -> Usage:
        """Return the room there is, as far as the driver can tell."""
        if not self.supports(SupportsUsage):
            return Usage(total=None, free=None)
        driver = cast(SupportsUsage, self.driver)
        return self._guard.answer(
            "usage", lambda: answers.of_kind(Usage, driver.usage()), tells=Tells.NOTHING
        )

    def details(self) -> Mapping[str, Any]:
        """Return how the driver is set up, as far as it tells: JSON values by their names."""
        if not self.supports(SupportsDetails):
            return {}
        driver = cast(SupportsDetails, self.driver)
        return self._guard.answer(
            "details", lambda: answers.json_object(driver.details()), tells=Tells.NOTHING
        )

    def places(self) -> frozenset[str]:
        """Return what it writes to, as far as the driver tells."""
        if not self.supports(SupportsPlaces):
            return frozenset()
        driver = cast(SupportsPlaces, self.driver)
        return self._guard.answer_anyway("places", lambda: answers.names(driver.places()))

    def begin(self) -> None:
        """Make the place for its images. Whoever calls this knows that no record leads there.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsBegin)
        driver = cast(SupportsBegin, self.driver)
        self._guard.answer("begin", driver.begin)

    def check(self) -> None:
        """Return when the store works, as far as the driver can tell; raise why it does not."""
        if self.supports(SupportsHealth):
            driver = cast(SupportsHealth, self.driver)
            self._guard.answer("check", driver.check, tells=Tells.NOTHING)

    def close(self) -> None:
        """Let go of what the driver holds; a driver that hangs in this is left behind."""
        try:
            self._guard.answer_anyway("close", self.driver.close)
        finally:
            self._guard.close()


class _Opened(ByteStream):
    """A driver's stream, its errors stamped, cut at ``length`` and never silently shorter."""

    def __init__(self, guard: Guard, stream: ByteStream, length: int | None) -> None:
        self._guard = guard
        self._stream = stream
        self._length = length
        self._left = length
        self._wanted_since: float | None = None
        self._has_told = False

    def read(self, size: int = -1, /) -> bytes:
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
            if size == 0:
                return b""
        if self._wanted_since is None:
            self._wanted_since = time.perf_counter()
        try:  # no context manager: it is entered a thousand times for each GiB
            chunk = self._take(size)
        except Exception:
            with self._guard.told("read"):
                raise
        if not self._has_told:
            self._has_told = True
            self._guard.has_begun_to_give(time.perf_counter() - self._wanted_since)
        return chunk

    def _take(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        if type(chunk) is not bytes or len(chunk) > size >= 0:
            raise StoreFailed(f"read({size}) returned {answers.named(chunk)}")
        if self._left is not None:
            self._left -= len(chunk)
            if not chunk:
                raise StoreFailed(f"{self._left} of {self._length} bytes are missing")
        return chunk

    def close(self) -> None:
        with self._guard.stamped("close"):
            self._stream.close()


def _skip(stream: ByteStream) -> None:
    while stream.read(CHUNK_SIZE):
        pass


def _close(stream: ByteStream) -> None:
    stream.close()


def _close_file(file: BinaryIO | None) -> None:
    if file is not None:
        file.close()


class ChooseBy(StrEnum):
    """Where an image goes that nobody chose a store for, unless a plugin says otherwise."""

    DEFAULT = "default"
    """To the default store."""

    WEIGHT = "weight"
    """To the heaviest store that can take it now."""

    FREE_SPACE = "free_space"
    """To the store with the most room now."""


class Stores:
    """All stores of the service. One of them is the default.

    ``preferred`` are the ids of those that are read before all others, whatever they weigh.
    """

    def __init__(
        self,
        stores: Iterable[Store],
        default_id: str,
        *,
        choose_by: ChooseBy = ChooseBy.DEFAULT,
        preferred: Sequence[str] = (),
    ) -> None:
        self.by_id: Mapping[str, Store] = MappingProxyType({store.id: store for store in stores})
        self.default = self.get(default_id)
        self.choose_by = choose_by
        self._preferred = {id: place for place, id in enumerate(dict.fromkeys(preferred))}

    def acting_for(self, caller: Caller) -> Stores:
        """Return the stores as they are for a caller: these, where none acts for anybody."""
        if not any(store.supports(SupportsCaller) for store in self):
            return self
        acting = [store.acting_for(caller) for store in self]
        return Stores(acting, self.default.id, choose_by=self.choose_by)

    def preferring(self, preferred: Sequence[str]) -> Stores:
        """Return the stores as they are for whoever would have data from these, in this order.

        :raises StoreNotFound: when there is no such store.
        """
        for id in preferred:
            self.get(id)
        return Stores(self, self.default.id, choose_by=self.choose_by, preferred=preferred)

    @property
    def all(self) -> tuple[Store, ...]:
        """All of them, in the order of the configuration."""
        return tuple(self.by_id.values())

    @property
    def takers(self) -> tuple[Store, ...]:
        """Those to which an image can be added now."""
        return tuple(store for store in self if store.is_writable and store.is_available)

    def __iter__(self) -> Iterator[Store]:
        return iter(self.by_id.values())

    def get(self, id: str) -> Store:
        """Return one store.

        :raises StoreNotFound: when there is none of this id.
        """
        try:
            return self.by_id[id]
        except KeyError:
            known = ", ".join(self.by_id) or "none"
            raise StoreNotFound(store=id, known=known) from None

    def by_preference(self, locations: Iterable[Location]) -> list[Location]:
        """Return an image's copies as they are read and shown: heavier stores first.

        Those that are being drained come behind, and last what is in a store that is not here.
        """
        last = len(self._preferred)

        def rank(location: Location) -> tuple[bool, int, bool, int]:
            store = self.by_id.get(location.store)
            if store is None:
                return True, last, False, 0
            return False, self._preferred.get(store.id, last), store.draining, -store.weight

        return sorted(locations, key=rank)

    def close(self) -> None:
        """Close all, also when some fail; the first error is raised at the end."""
        errors = []
        for store in self:
            try:
                store.close()
            except StoreError as error:
                errors.append(error)
        if errors:
            raise errors[0]
