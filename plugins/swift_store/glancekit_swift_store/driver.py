# SPDX-License-Identifier: Apache-2.0
"""The driver ``swift``: an image is the object ``<image_id>`` of a container, whole or not there.

Digests and limits are the core's business. What talks to the server is imported by the first call,
not with this module: a service whose stores are others does without it.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from glancekit.plugin import (
    Blob,
    BlobExists,
    BlobNotFound,
    ByteStream,
    Caller,
    Location,
    Remnant,
    StoreDenied,
    StoreDriver,
    SupportsAcl,
    SupportsCaller,
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
from glancekit_swift_store.options import MB, OPTIONS, Settings, settings_of
from glancekit_swift_store.places import SCHEMES, place_of_url

if TYPE_CHECKING:
    from requests import Response

    from glancekit_swift_store.account import Account
    from glancekit_swift_store.accounts import Accounts
    from glancekit_swift_store.objects import Container

log = logging.getLogger(__name__)

L = TypeVar("L")
T = TypeVar("T")


class SwiftStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsDirectUrl,
    SupportsAcl,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
    SupportsSweep,
    SupportsListing,
    SupportsPlaces,
    SupportsCaller,
):
    """Images as objects of a Swift, in accounts of the service or in those of their owners."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = SCHEMES

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        self._shared = _Shared()
        self._caller: Caller | None = None

    def acting_for(self, caller: Caller) -> Self:
        """Return the store with a caller's token, where images are in their owners' accounts."""
        if not self._settings.multi_tenant:
            return self
        acting = copy.copy(self)
        acting._caller = caller
        return acting

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the object."""
        return self._download(location)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open a part of the object."""
        return self._download(location, offset=offset, length=length)

    def size(self, location: Location) -> int | None:
        """Return the object's length."""
        return self._reading(location, lambda container, name: container.find(name).size)

    def direct_url(self, location: Location, ttl: int) -> str:
        """Return a URL that is signed with the account's key (TempURL)."""
        from glancekit_swift_store.temporary import temporary_url

        place, settings, accounts = place_of_url(location.url), self._settings, self._accounts
        account = accounts.to_change(location, place)
        # Another account has another key: what is signed with this one would be refused there.
        is_signed_with_it = settings.temp_url_key and accounts.is_default(account)
        key = settings.temp_url_key if is_signed_with_it else ""
        return temporary_url(account, place, ttl, key=key, digest=settings.temp_url_digest)

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Send the bytes, and only when all are there give them their name."""
        from glancekit_swift_store.upload import Upload

        with (
            self._shared.alone(image_id),
            self._accounts.to_write(image_id, size) as (container, url),
        ):
            if container.find_or_none(image_id) is not None:
                raise BlobExists  # before the first byte; the server is asked again at the end
            Upload(container, image_id, size, self._settings).run(source)
        return Location(url=url, image_id=image_id)

    def discard(self, image_id: str) -> None:
        """Remove the object and all its segments, those of upstream included."""
        from glancekit_swift_store.upload import segments_prefix

        def remove_all(container: Container) -> None:
            with suppress(BlobNotFound):
                container.remove(image_id)
            container.remove_beginning_with(segments_prefix(image_id))
            container.remove_beginning_with(f"{image_id}-")
            self._accounts.clear_away(container)

        _with_first_allowed(self._accounts.to_discard(image_id), remove_all)

    def delete(self, location: Location) -> None:
        """Remove the object with all its segments."""
        from glancekit_swift_store.upload import segments_prefix

        container, name = self._to_change(location)
        try:
            container.remove(name)
        except BlobNotFound:
            # An earlier removal came as far as this. A segment that the server could not remove
            # does not keep it from removing the object.
            if name == location.image_id:
                container.remove_beginning_with(segments_prefix(name))
            self._accounts.clear_away(container)
            raise
        self._accounts.clear_away(container)

    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        """Say at the image's container who may read it, where it has one of its own."""
        self._accounts.grant(location, place_of_url(location.url), readers, public)

    # -- what was left

    def remnants(self, age: float) -> Iterator[Remnant | None]:
        """Yield the segments that came so long ago, and of which no image is made."""
        from glancekit_swift_store.sweeping import leftovers

        for container in self._accounts.to_sweep():
            yield from leftovers(container, age)
            yield None

    def sweep(self, remnant: Remnant) -> None:
        """Remove such segments."""
        from glancekit_swift_store.sweeping import sweep

        for container in self._accounts.to_sweep():
            if remnant.name.startswith(f"{container.name}/"):
                sweep(container, remnant)
                self._accounts.clear_away(container)

    # -- what is there

    def contents(self) -> Iterator[Blob]:
        """Yield the objects whose names are ids of images, not the segments that they are made of.

        Of the accounts of projects none is listed but that of a caller's own.
        """
        accounts = self._accounts
        for container in accounts.to_sweep():
            for found in container.entries("", delimiter="/"):
                if is_image_id(found.name):
                    url = accounts.url_in(container, found.name)
                    yield Blob(url, found.name, found.size or None, found.at)

    def blob(self, location: Location) -> Blob:
        """Look at the object."""
        container, name = self._to_change(location)
        if not is_image_id(name):
            raise BlobNotFound
        found = container.find(name)
        return Blob(self._accounts.url_in(container, name), name, found.size, found.at)

    # -- questions

    def check(self) -> None:
        """Log in, and look for the container where there is one only."""
        self._accounts.check()

    def usage(self) -> Usage:
        """Return the room within the quota of the account or the container, if there is one."""
        return self._accounts.usage()

    def details(self) -> dict[str, Any]:
        """Return how objects are written, under upstream's names and in its units."""
        return {
            "container": self._settings.container,
            "large_object_size": self._settings.whole_below // MB,
            "large_object_chunk_size": self._settings.segment_size // MB,
        }

    def places(self) -> list[str]:
        """Return the container of the account, or those of all projects' accounts."""
        return [self._settings.place]

    def close(self) -> None:
        """Close the connections."""
        self._shared.close()

    # -- where things are

    @property
    def _accounts(self) -> Accounts:
        accounts = self._shared.accounts(self._settings)
        return accounts if self._caller is None else accounts.acting_for(self._caller)

    def _to_change(self, location: Location) -> tuple[Container, str]:
        place = place_of_url(location.url)
        account = self._accounts.to_change(location, place)
        return self._container(account, place.container), place.name

    def _reading(self, location: Location, read: Callable[[Container, str], T]) -> T:
        """Read with the first login that Swift lets read."""
        place = place_of_url(location.url)
        return _with_first_allowed(
            self._accounts.to_read(location, place),
            lambda account: read(self._container(account, place.container), place.name),
        )

    def _download(
        self, location: Location, *, offset: int = 0, length: int | None = None
    ) -> ByteStream:
        from glancekit_swift_store.download import Download

        def get(headers: Mapping[str, str]) -> Response:
            return self._reading(location, lambda container, name: container.get(name, headers))

        name = place_of_url(location.url).name
        return Download(get, name, offset=offset, length=length, retries=self._settings.retries)

    def _container(self, account: Account, name: str) -> Container:
        from glancekit_swift_store.objects import Container

        settings = self._settings
        may_lack = settings.may_lack_containers or settings.multi_tenant
        return Container(account, name, may_lack=may_lack)


def _with_first_allowed(logins: Sequence[L], use: Callable[[L], T]) -> T:
    """Use the first of several logins that Swift lets do it."""
    *others, last = logins
    for login in others:
        try:
            return use(login)
        except StoreDenied as error:
            log.info("the service does with its own login what the caller may not: %s", error)
    return use(last)


class _Shared:
    """What a store and those that act for a caller have in common."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accounts: Accounts | None = None
        self._being_written: set[str] = set()

    def accounts(self, settings: Settings) -> Accounts:
        """Return the accounts that images are in, made at the first call."""
        from glancekit_swift_store.accounts import OwnAccounts
        from glancekit_swift_store.projects import ProjectAccounts

        with self._lock:
            if self._accounts is None:
                own = OwnAccounts(settings)
                self._accounts = ProjectAccounts(own, settings) if settings.multi_tenant else own
            return self._accounts

    @contextmanager
    def alone(self, image_id: str) -> Iterator[None]:
        """Have one writer of an image at a time: between two, the server takes both."""
        with self._lock:
            if image_id in self._being_written:
                raise BlobExists
            self._being_written.add(image_id)
        try:
            yield
        finally:
            with self._lock:
                self._being_written.discard(image_id)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            accounts, self._accounts = self._accounts, None
        if accounts is not None:
            accounts.close()
