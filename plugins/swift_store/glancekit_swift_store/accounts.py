# SPDX-License-Identifier: Apache-2.0
"""Which account a request goes to, and with whose credentials: the service's own accounts.

Those of the images' owners are the business of ``projects``.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, Self

from glancekit.plugin import Caller, ConfigError, Location, StoreDenied, Usage
from glancekit_swift_store.account import Account
from glancekit_swift_store.logins import log_in
from glancekit_swift_store.objects import Container
from glancekit_swift_store.options import Settings
from glancekit_swift_store.places import Place, container_of, url_of
from glancekit_swift_store.quotas import usage_of
from glancekit_swift_store.references import Reference, host_of

MOST_STRANGERS = 16
"""Accounts of old locations that stay logged in; beyond these the oldest one is forgotten."""


_ANY_ID = "00000000-0000-0000-0000-000000000000"


class Accounts(Protocol):
    """The accounts that images are in."""

    def acting_for(self, caller: Caller) -> Self:
        """Return them as they are for a caller."""
        ...

    def to_write(
        self, image_id: str, size: int | None
    ) -> AbstractContextManager[tuple[Container, str]]:
        """Have the container that an image is to be written to, and the URL of the image there.

        It is there as far as it is to be made; what a failure has left of it goes.
        """
        ...

    def to_discard(self, image_id: str) -> Sequence[Container]:
        """Return the container that an image of this id would be written to, with each login that
        may remove it, the first one first."""
        ...

    def to_read(self, location: Location, place: Place) -> Sequence[Account]:
        """Return the logins with which an object may be read, the first one first."""
        ...

    def to_change(self, location: Location, place: Place) -> Account:
        """Return the login with which an object may be removed."""
        ...

    def is_default(self, account: Account) -> bool:
        """Say whether an account is the one that the configuration is about."""
        ...

    def clear_away(self, container: Container) -> None:
        """Remove a container that was made for one image which is gone."""
        ...

    def grant(
        self, location: Location, place: Place, readers: Sequence[str], public: bool
    ) -> None:
        """Let these projects read, where the medium has readers of its own."""
        ...

    def to_sweep(self) -> Iterable[Container]:
        """Return the containers in which dead writers may have left something."""
        ...

    def url_in(self, container: Container, image_id: str) -> str:
        """Return the URL of an image in one of those containers."""
        ...

    def check(self) -> None:
        """Return when they can be used."""
        ...

    def usage(self) -> Usage:
        """Return the room there is."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class OwnAccounts:
    """Accounts of the service's own, where the users of images never come themselves."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._accounts: dict[Reference, Account] = {}
        self._strangers: OrderedDict[Reference, Account] = OrderedDict()

    def acting_for(self, caller: Caller) -> Self:
        """Return these: whoever asks, it is the service that reads and writes."""
        return self

    @contextmanager
    def to_write(self, image_id: str, size: int | None) -> Iterator[tuple[Container, str]]:
        """Have the container that images go to, made only where the operator lets it be."""
        container = self._container_of(image_id)
        container.require(create=self._settings.create_container)
        yield container, self.url_in(container, image_id)

    def to_discard(self, image_id: str) -> Sequence[Container]:
        """Return the container for an image."""
        return [self._container_of(image_id)]

    def to_read(self, location: Location, place: Place) -> Sequence[Account]:
        """Return the account of a location."""
        return [self.of(place)]

    def to_change(self, location: Location, place: Place) -> Account:
        """Return the account of a location."""
        return self.of(place)

    def is_default(self, account: Account) -> bool:
        """Say so of the account of ``default_swift_reference``, whoever logs in."""
        return account is self.default or account.url == self.default.url

    def clear_away(self, container: Container) -> None:
        """Leave it: there are others in it."""

    def to_sweep(self) -> Iterator[Container]:
        """Yield the containers for images."""
        settings = self._settings
        if not settings.seed:
            yield self._container(settings.container)
            return
        length = len(container_of(settings.container, settings.seed, _ANY_ID))
        for name in self.default.containers(f"{settings.container}_"):
            if len(name) == length:
                yield self._container(name)

    def url_in(self, container: Container, image_id: str) -> str:
        """Return a URL that names the account as the configuration does."""
        return url_of(self._settings.default_reference, container.name, image_id)

    def grant(
        self, location: Location, place: Place, readers: Sequence[str], public: bool
    ) -> None:
        """Do nothing: nobody comes to the account but by way of the service."""

    def check(self) -> None:
        """Log in, and look for the container where there is one only."""
        self.default.check()
        if not self._settings.may_lack_containers:
            self._container(self._settings.container).require(create=False)

    def usage(self) -> Usage:
        """Return the room within the quota of the account or the container, if there is one."""
        return usage_of(self.default, self._settings)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            accounts = [*self._accounts.values(), *self._strangers.values()]
            self._accounts.clear()
            self._strangers.clear()
        for account in accounts:
            account.close()

    # -- who logs in

    @property
    def reference(self) -> Reference:
        """How the service logs in."""
        return self._settings.references[self._settings.default_reference]

    @property
    def default(self) -> Account:
        """The account that the configuration is about."""
        return self._account(self.reference)

    def of(self, place: Place) -> Account:
        """Return the account of a location, logged in as the service or as the location says.

        :raises StoreDenied: when the service has nothing to do there.
        """
        if place.account:
            raise StoreDenied(
                "the location is in an account of a project; this store has accounts of its own"
            )
        if not place.reference:
            return self._account(self._reference_of(place))
        reference = self._settings.references.get(place.reference)
        if reference is None:
            raise StoreDenied(
                f"the location's account '{place.reference}' is not in this store's configuration"
            )
        return self._account(reference)

    def _container_of(self, image_id: str) -> Container:
        settings = self._settings
        return self._container(container_of(settings.container, settings.seed, image_id))

    def _container(self, name: str) -> Container:
        return Container(self.default, name, may_lack=self._settings.may_lack_containers)

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
            near = [self.reference]
        if not near:
            raise StoreDenied(
                f"{host} is not where this store logs in; if it was, name it in "
                "swift_store_former_auth_addresses"
            )
        same = (known for known in near if known.user == place.user)
        found = next(same, near[0]).of_user(place.user, place.key)
        if not found.can_be_sent:
            raise StoreDenied("the location's user or password is none that can be sent")
        return found

    def _host_of(self, place: Place) -> str:
        try:
            return host_of(place.auth_address)
        except ConfigError:
            raise StoreDenied("the location's URL is not one of an object in Swift") from None

    def _account(self, reference: Reference) -> Account:
        settings = self._settings
        with self._lock:
            if reference in settings.references.values():
                if reference not in self._accounts:
                    made = Account(log_in(reference), settings, settings.endpoint)
                    self._accounts[reference] = made
                return self._accounts[reference]
            if reference not in self._strangers:
                self._strangers[reference] = Account(log_in(reference), settings)
            self._strangers.move_to_end(reference)
            if len(self._strangers) > MOST_STRANGERS:
                self._strangers.popitem(last=False)[1].close()
            return self._strangers[reference]
