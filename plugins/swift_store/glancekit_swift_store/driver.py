# SPDX-License-Identifier: Apache-2.0
"""The driver ``swift``: an image is the object ``<image_id>`` of a container, whole or not there.

Digests and limits are the core's business. What talks to the server is imported by the first call,
not with this module: a service whose stores are others does without it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from glancekit.plugin import (
    BlobExists,
    ByteStream,
    ConfigError,
    Location,
    StoreDenied,
    StoreDriver,
    SupportsDelete,
    SupportsDetails,
    SupportsDirectUrl,
    SupportsHealth,
    SupportsRange,
    SupportsUsage,
    SupportsWrite,
    Usage,
)
from glancekit_swift_store.options import MB, OPTIONS, Settings, settings_of
from glancekit_swift_store.places import SCHEMES, Place, container_of, place_of_url, url_of
from glancekit_swift_store.references import Reference, host_of

if TYPE_CHECKING:
    from glancekit_swift_store.account import Account
    from glancekit_swift_store.objects import Container

MOST_STRANGERS = 16
"""Accounts of old locations that stay logged in; beyond these the oldest one is forgotten."""


class SwiftStore(
    StoreDriver,
    SupportsWrite,
    SupportsDelete,
    SupportsRange,
    SupportsDirectUrl,
    SupportsUsage,
    SupportsHealth,
    SupportsDetails,
):
    """Images as objects of a Swift."""

    api_level: ClassVar[int] = 1
    options = OPTIONS
    schemes = SCHEMES

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._settings: Settings = settings_of(options)
        self._lock = threading.Lock()
        self._accounts: dict[Reference, Account] = {}
        self._strangers: OrderedDict[Reference, Account] = OrderedDict()
        self._being_written: set[str] = set()

    # -- reading

    def open(self, location: Location) -> ByteStream:
        """Open the object."""
        return self._download(location)

    def open_range(self, location: Location, offset: int, length: int) -> ByteStream:
        """Open a part of the object."""
        return self._download(location, offset=offset, length=length)

    def size(self, location: Location) -> int | None:
        """Return the object's length."""
        container, name = self._find(location)
        return container.find(name).size

    def direct_url(self, location: Location, ttl: int) -> str:
        """Return a URL that is signed with the account's key (TempURL)."""
        from glancekit_swift_store.temporary import temporary_url

        place = place_of_url(location.url)
        return temporary_url(self._account_of(place), place, ttl, self._settings)

    # -- writing

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        """Send the bytes, and only when all are there give them their name."""
        from glancekit_swift_store.upload import Upload

        container = self._container_for(image_id)
        with self._alone(image_id):
            container.require(create=self._settings.create_container)
            if container.find_or_none(image_id) is not None:
                raise BlobExists  # before the first byte; the server is asked again at the end
            Upload(container, image_id, size, self._settings).run(source)
        reference = self._settings.default_reference
        return Location(url=url_of(reference, container.name, image_id))

    def discard(self, image_id: str) -> None:
        """Remove the object and all its segments, those of upstream included."""
        from glancekit_swift_store.upload import segments_prefix

        container = self._container_for(image_id)
        if container.find_or_none(image_id) is not None:
            container.remove(image_id)
        container.remove_beginning_with(segments_prefix(image_id))
        container.remove_beginning_with(f"{image_id}-")

    def delete(self, location: Location) -> None:
        """Remove the object with all its segments."""
        container, name = self._find(location)
        container.remove(name)

    # -- questions

    def check(self) -> None:
        """Log in, and look for the container where there is one only."""
        account = self._account(self._default)
        account.check()
        if not self._settings.may_lack_containers:
            self._container(account, self._settings.container).require(create=False)

    def usage(self) -> Usage:
        """Return the room within the quota of the account or the container, if there is one."""
        from glancekit_swift_store.quotas import usage_of

        return usage_of(self._account(self._default), self._settings)

    def details(self) -> dict[str, Any]:
        """Return how objects are written, under upstream's names and in its units."""
        return {
            "container": self._settings.container,
            "large_object_size": self._settings.whole_below // MB,
            "large_object_chunk_size": self._settings.segment_size // MB,
        }

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            accounts = [*self._accounts.values(), *self._strangers.values()]
            self._accounts.clear()
            self._strangers.clear()
        for account in accounts:
            account.close()

    # -- where things are

    @property
    def _default(self) -> Reference:
        return self._settings.references[self._settings.default_reference]

    def _find(self, location: Location) -> tuple[Container, str]:
        place = place_of_url(location.url)
        return self._container(self._account_of(place), place.container), place.name

    def _download(
        self, location: Location, *, offset: int = 0, length: int | None = None
    ) -> ByteStream:
        from glancekit_swift_store.download import Download

        container, name = self._find(location)
        retries = self._settings.retries
        return Download(container, name, offset=offset, length=length, retries=retries)

    def _container_for(self, image_id: str) -> Container:
        settings = self._settings
        name = container_of(settings.container, settings.seed, image_id)
        return self._container(self._account(self._default), name)

    def _container(self, account: Account, name: str) -> Container:
        from glancekit_swift_store.objects import Container

        return Container(account, name, may_lack=self._settings.may_lack_containers)

    @contextmanager
    def _alone(self, image_id: str) -> Iterator[None]:
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

    # -- who logs in

    def _account_of(self, place: Place) -> Account:
        if place.reference:
            reference = self._settings.references.get(place.reference)
            if reference is None:
                raise StoreDenied(
                    f"the location's account '{place.reference}' is not in this store's "
                    "configuration"
                )
            return self._account(reference)
        return self._account(self._reference_of(place))

    def _reference_of(self, place: Place) -> Reference:
        """Return how to log in with an old location's credentials.

        Where to is one of the addresses of the configuration, always: nobody can send the service
        elsewhere. The password is always the location's: clients can name what they like, and
        must not come to have the service's rights by its name.
        """
        host = self._host_of(place)
        near = [
            known
            for known in self._settings.references.values()
            if host_of(known.auth_address) == host
        ]
        if not near and host in self._settings.former_hosts:
            near = [self._default]
        if not near:
            raise StoreDenied(
                f"{host} is not where this store logs in; if it was, name it in "
                "swift_store_former_auth_addresses"
            )
        same = (known for known in near if known.user == place.user)
        return next(same, near[0]).of_user(place.user, place.key)

    def _host_of(self, place: Place) -> str:
        try:
            return host_of(place.auth_address)
        except ConfigError:
            raise StoreDenied("the location's URL is not one of an object in Swift") from None

    def _account(self, reference: Reference) -> Account:
        from glancekit_swift_store.account import Account

        with self._lock:
            if reference in self._settings.references.values():
                if reference not in self._accounts:
                    endpoint = self._settings.endpoint
                    self._accounts[reference] = Account(reference, self._settings, endpoint)
                return self._accounts[reference]
            if reference not in self._strangers:
                self._strangers[reference] = Account(reference, self._settings, None)
            self._strangers.move_to_end(reference)
            if len(self._strangers) > MOST_STRANGERS:
                self._strangers.popitem(last=False)[1].close()
            return self._strangers[reference]
