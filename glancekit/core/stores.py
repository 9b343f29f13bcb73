# SPDX-License-Identifier: Apache-2.0
"""A store: a driver under a configured name, and what is the same for all. Bytes are the driver's.

Here errors get their store and operation, calls get a deadline, and what a driver cannot do is
either done in its place (ranges) or refused before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast

from glancekit.core.contracts.store import (
    CAPABILITIES,
    StoreDriver,
    SupportsDelete,
    SupportsDetails,
    SupportsHealth,
    SupportsLocalFile,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
    Usage,
)
from glancekit.core.deadline import Deadline, DeadlineMissed
from glancekit.core.errors import (
    CapabilityMissing,
    GlancekitError,
    StoreError,
    StoreFailed,
    StoreNotFound,
    StoreReadOnly,
    StoreUnavailable,
)
from glancekit.core.model.image import Location
from glancekit.core.stream import CHUNK_SIZE, ByteStream

T = TypeVar("T")

DEADLINE = 30.0
"""Seconds for one answer: a disk that was spun down wakes up in less, a dead mount never does."""


class Store:
    """A configured place for bytes; ``kind`` is its driver's name.

    Calls that wait for one answer have a ``deadline`` in seconds (0: none), so that a hung mount
    costs its own requests and no others. The reads and writes of a byte loop have none: a slow
    medium is no dead one, and what hangs there hangs its own request only.
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
        is_default: bool = False,
        deadline: float = DEADLINE,
    ) -> None:
        self.id = id
        self.driver = driver
        self.kind = kind
        self.description = description
        self.weight = weight
        self.read_only = read_only
        self.is_default = is_default
        self.capabilities = frozenset(kind for kind in CAPABILITIES if isinstance(driver, kind))
        self._deadline = Deadline(f"store {id}", deadline) if deadline > 0 else None

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
        """Images can be added to it."""
        return not self.read_only and self.supports(SupportsWrite)

    # -- bytes in and out

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Put an image into the store and return where it is.

        :raises StoreReadOnly: when nothing may be added, before the source is touched.
        """
        if not self.is_writable:
            raise StoreReadOnly(store=self.id, operation="write")
        driver = cast(SupportsWrite, self.driver)
        with self._stamped("write"):
            location = driver.write(image_id, source, size)
        return replace(location, store=self.id, image_id=image_id, size=size)

    def open(self, location: Location) -> ByteStream:
        """Open an image's bytes. A stream that ends before ``location.size`` raises instead."""
        stream = self._answer("open", lambda: self.driver.open(location), too_late=_close)
        return _Opened(self, stream, location.size)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open ``length`` bytes from ``offset`` on, which must be there.

        A driver without ranges is read and discarded up to the offset.
        """
        if self.supports(SupportsRange):
            driver = cast(SupportsRange, self.driver)
            stream = self._answer(
                "open_range",
                lambda: driver.open_range(location, offset, length),
                too_late=_close,
            )
            return _Opened(self, stream, length)
        stream = self._answer("open", lambda: self.driver.open(location), too_late=_close)
        try:
            _skip(_Opened(self, stream, offset))
        except BaseException:
            stream.close()
            raise
        return _Opened(self, stream, length)

    def discard(self, image_id: str) -> None:
        """Remove all that an interrupted write of this image left. Also in a read-only store."""
        self.require(SupportsWrite)
        driver = cast(SupportsWrite, self.driver)
        self._answer("discard", lambda: driver.discard(image_id))

    def delete(self, location: Location) -> None:
        """Remove an image's bytes for good.

        :raises CapabilityMissing: when the driver cannot.
        """
        self.require(SupportsDelete)
        driver = cast(SupportsDelete, self.driver)
        self._answer("delete", lambda: driver.delete(location))

    # -- questions

    def size(self, location: Location) -> int | None:
        """Return how many bytes are at a location, None when the store cannot tell."""
        return self._answer("size", lambda: self.driver.size(location))

    def local_path(self, location: Location) -> Path | None:
        """Return the plain file that holds an image's bytes, None when there is no such file."""
        if not self.supports(SupportsLocalFile):
            return None
        driver = cast(SupportsLocalFile, self.driver)
        return self._answer("local_path", lambda: driver.local_path(location))

    def usage(self) -> Usage:
        """Return the room there is, as far as the driver can tell."""
        if not self.supports(SupportsUsage):
            return Usage(total=None, free=None)
        return self._answer("usage", cast(SupportsUsage, self.driver).usage)

    def details(self) -> Mapping[str, Any]:
        """Return how the driver is set up, as far as it tells."""
        if not self.supports(SupportsDetails):
            return MappingProxyType({})
        return self._answer("details", cast(SupportsDetails, self.driver).details)

    def check(self) -> None:
        """Return when the store works, as far as the driver can tell; raise why it does not."""
        if self.supports(SupportsHealth):
            self._answer("check", cast(SupportsHealth, self.driver).check)

    def close(self) -> None:
        """Let go of what the driver holds; a driver that hangs in this is left behind."""
        try:
            self._answer("close", self.driver.close)
        finally:
            if self._deadline is not None:
                self._deadline.close()

    # -- the same for all

    def _answer(
        self,
        operation: str,
        ask: Callable[[], T],
        *,
        too_late: Callable[[T], object] | None = None,
    ) -> T:
        with self._stamped(operation):
            if self._deadline is None:
                return ask()
            return self._deadline.call(ask, too_late=too_late)

    @contextmanager
    def _stamped(self, operation: str) -> Iterator[None]:
        """Say in every error where it came from; make ours what a driver did not translate."""
        try:
            yield
        except StoreError as error:
            error.stamp(store=self.id, operation=operation)
            raise
        except GlancekitError:
            raise
        except DeadlineMissed as error:
            raise StoreUnavailable(str(error), store=self.id, operation=operation) from error
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            raise StoreFailed(detail, store=self.id, operation=operation) from error


class _Opened(ByteStream):
    """A driver's stream, its errors stamped, cut at ``length`` and never silently shorter."""

    def __init__(self, store: Store, stream: ByteStream, length: int | None) -> None:
        self._store = store
        self._stream = stream
        self._length = length
        self._left = length

    def read(self, size: int = -1, /) -> bytes:
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
            if size == 0:
                return b""
        with self._store._stamped("read"):
            chunk = self._stream.read(size)
            if self._left is not None:
                self._left -= len(chunk)
                if not chunk:
                    raise StoreFailed(f"{self._left} of {self._length} bytes are missing")
        return chunk

    def close(self) -> None:
        with self._store._stamped("close"):
            self._stream.close()


def _skip(stream: ByteStream) -> None:
    while stream.read(CHUNK_SIZE):
        pass


def _close(stream: ByteStream) -> None:
    stream.close()


class Stores:
    """All stores of the service. One of them is the default."""

    def __init__(self, stores: Iterable[Store], default_id: str) -> None:
        self.by_id: Mapping[str, Store] = MappingProxyType({store.id: store for store in stores})
        self.default = self.get(default_id)

    @property
    def all(self) -> tuple[Store, ...]:
        """All of them, in the order of the configuration."""
        return tuple(self.by_id.values())

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
