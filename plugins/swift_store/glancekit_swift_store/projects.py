# SPDX-License-Identifier: Apache-2.0
"""Accounts of the images' owners (``swift_store_multi_tenant``): one container for each image.

A caller comes with their own token, so that it is Swift that decides. Work in the background, and
what concerns the account of another project, is done with the service's own login; that needs the
role that Swift calls ``reseller_admin_role``. How long uploads outlive a token is the business of
``trusts``.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

from glancekit.plugin import Caller, GlancekitError, Location, StoreDenied, StoreUnavailable, Usage
from glancekit_swift_store.account import Account
from glancekit_swift_store.accounts import OwnAccounts
from glancekit_swift_store.logins import Bearer
from glancekit_swift_store.objects import Container
from glancekit_swift_store.options import Settings
from glancekit_swift_store.places import Place, url_in_account
from glancekit_swift_store.trusts import trusted

log = logging.getLogger(__name__)

EVERYBODY = "*:*"
"""Whoever has a token, of whatever project; ``.r:*`` would be the whole web."""

_PROJECT = re.compile(r"[A-Za-z0-9_.~-]+")


class ProjectAccounts:
    """The accounts of projects. Old locations of the service's own accounts are read, too."""

    def __init__(self, own: OwnAccounts, settings: Settings) -> None:
        self._own = own
        self._settings = settings
        self._caller = Caller(owner=None)

    def acting_for(self, caller: Caller) -> Self:
        """Return them with a caller's token."""
        acting = copy.copy(self)
        acting._caller = caller
        return acting

    @contextmanager
    def to_write(self, image_id: str, size: int | None) -> Iterator[tuple[Container, str]]:
        """Make the container of an image in its owner's account; it goes again on any error."""
        is_long = size is None or size >= self._settings.whole_below
        with self._login_to_write(is_long=is_long) as account:
            container = self._container(account, image_id)
            container.require(create=True)
            try:
                yield container, self.url_in(container, image_id)
            except BaseException:
                self._drop_after_failure(container)
                raise

    def to_discard(self, image_id: str) -> Sequence[Container]:
        """Return the image's container with the login that writes it, then with the service's: the
        caller's token may have ended, which is why there is something to discard."""
        with self._login_to_write(is_long=False) as account:
            logins = (account, self._own.default.at(account.url))
            return [self._container(login, image_id) for login in logins]

    def to_read(self, location: Location, place: Place) -> Sequence[Account]:
        """Return the caller's login, then the service's, which does what the core has allowed."""
        if not place.account:
            return self._own.to_read(location, place)
        url = self._url_of(self._project_of(place))
        found = [self._with_token(url, self._caller.token)] if self._caller.token else []
        if self._is_of_image(location, place):
            found.append(self._own.default.at(url))
        if not found:
            raise StoreDenied("the location is in a project's account and not that of this image")
        return found

    def to_change(self, location: Location, place: Place) -> Account:
        """Return the caller's login in their own account, and the service's in others."""
        if not place.account:
            return self._own.to_change(location, place)
        project = self._project_of(place)
        if self._caller.token and project == self._caller.project_id:
            return self._with_token(self._url_of(project), self._caller.token)
        if not self._is_of_image(location, place):
            raise StoreDenied("the location is in a project's account and not that of this image")
        return self._own.default.at(self._url_of(project))

    def is_default(self, account: Account) -> bool:
        """Say so of the service's own account."""
        return self._own.is_default(account)

    def clear_away(self, container: Container) -> None:
        """Remove the container of an image that is gone; one with anything else in it stays.

        :raises StoreUnavailable: when only the server's listing has not heard yet that the image
            is gone, so that it is asked again: nothing else leads to the container any more.
        """
        if not container.name.startswith(f"{self._settings.container}_") or container.drop():
            return
        first = next(container.names(""), None)
        if first is None or container.find_or_none(first) is None:
            raise StoreUnavailable(f"the container {container.name} is not known to be empty yet")
        log.warning("the container %s is not empty and stays", container.name)

    def grant(
        self, location: Location, place: Place, readers: Sequence[str], public: bool
    ) -> None:
        """Say at the container who may read; a container that is not this image's is left."""
        if not place.account or not self._is_of_image(location, place):
            return
        account = self.to_change(location, place)
        listed = ",".join(f"{project}:*" for project in readers if _is_one_project(project))
        writers = ",".join(f"{project}:*" for project in self._settings.admin_projects)
        container = Container(account, place.container, may_lack=True)
        container.let_in(EVERYBODY if public else listed, writers)

    def to_sweep(self) -> Iterator[Container]:
        """Yield the images' containers in the account that would be written to.

        Without a caller that is the service's own: what dead writers have left in the accounts of
        projects is found by the records of those writes.
        """
        with self._login_to_write(is_long=False) as account:
            for name in account.containers(f"{self._settings.container}_"):
                yield Container(account, name, may_lack=True)

    def url_in(self, container: Container, image_id: str) -> str:
        """Return a URL that names the account by its own."""
        return url_in_account(container.account_url, container.name, image_id)

    def check(self) -> None:
        """Log in as the service."""
        self._own.default.check()

    def usage(self) -> Usage:
        """Return that it is not known: each project has its own."""
        return Usage(total=None, free=None)

    def close(self) -> None:
        """Close the connections."""
        self._own.close()

    # -- who logs in

    @contextmanager
    def _login_to_write(self, *, is_long: bool) -> Iterator[Account]:
        """Have the account of the image's owner; that of the service for an image of nobody."""
        caller, own = self._caller, self._own.default
        if caller.owner is None:
            yield own
            return
        url = self._url_of(caller.owner)
        if caller.token is None or caller.owner != caller.project_id:
            yield own.at(url)
        elif not is_long or not self._settings.use_trusts:
            yield self._with_token(url, caller.token)
        else:
            with trusted(own, self._own.reference, caller.token) as plugin:
                yield own.with_login(plugin or Bearer(caller.token), url)

    def _with_token(self, url: str, token: str) -> Account:
        return self._own.default.with_login(Bearer(token), url)

    def _container(self, account: Account, image_id: str) -> Container:
        return Container(account, f"{self._settings.container}_{image_id}", may_lack=True)

    def _is_of_image(self, location: Location, place: Place) -> bool:
        """Say whether a place is one that this store gives to the location's very image.

        With the service's login only such a place is touched: a URL can be named by a client.
        """
        name = f"{self._settings.container}_{place.name}"
        return place.name == location.image_id and place.container == name

    # -- where accounts are

    @property
    def _prefix(self) -> str:
        """What the URLs of all accounts begin with: that of the service without its project."""
        own = self._own.default
        if not own.project_id or not own.url.endswith(own.project_id):
            raise StoreDenied(
                "the URL of the service's own account does not end with its project's id, so "
                "those of other projects cannot be told; see swift_store_endpoint"
            )
        return own.url.removesuffix(own.project_id)

    def _url_of(self, project: str) -> str:
        return f"{self._prefix}{project}"

    def _project_of(self, place: Place) -> str:
        """Return whose account a location is in. No token goes to any other server than ours."""
        found, ours = urlsplit(place.account), urlsplit(self._prefix)
        is_former = found.netloc.lower() in self._settings.former_hosts
        is_here = (found.scheme, found.netloc.lower()) == (ours.scheme, ours.netloc.lower())
        project = found.path.removeprefix(ours.path)
        is_below = found.path.startswith(ours.path) and _PROJECT.fullmatch(project)
        if not (is_here or is_former) or not is_below or found.query or found.fragment:
            raise StoreDenied("the location is not in an account of this Swift")
        return project

    def _drop_after_failure(self, container: Container) -> None:
        try:
            container.drop()
        except GlancekitError as error:
            # What went wrong before is on its way to the caller; discard will find it.
            log.warning("the container %s is left: %s", container.name, error)


def _is_one_project(name: str) -> bool:
    """Say whether an id can be put into an access list, and mean nothing there but one project.

    An image's owner chooses it. ``.r`` begins what Swift says of the whole web.
    """
    return _PROJECT.fullmatch(name) is not None and not name.startswith(".")
