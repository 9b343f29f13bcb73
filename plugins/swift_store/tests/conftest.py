# SPDX-License-Identifier: Apache-2.0
"""Real Swifts for the tests, and drivers that are built as bootstrap builds them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from glancekit_swift_store.driver import SwiftStore
from glancekit_swift_store.testing import KEY, USER, RealSwift, missing

from glancekit.plugin import Caller

Build = Callable[..., SwiftStore]


@dataclass
class Outside:
    """A look at an account from outside the store, with plain requests."""

    url: str
    token: str

    def call(self, method: str, path: str = "", **more: Any) -> requests.Response:
        """Ask for something below the account."""
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        answer = requests.request(method, f"{self.url}{path}", headers=headers, timeout=30, **more)
        answer.raise_for_status()
        return answer

    def names(self, container: str) -> list[str]:
        """List all objects of a container."""
        return self.call("GET", f"/{container}").text.split()

    def containers(self) -> list[str]:
        """List all containers."""
        return self.call("GET").text.split()


@dataclass
class Site:
    """A Swift, how the store logs in there, and how the tests do."""

    swift: RealSwift
    options: Mapping[str, str]
    outside: Outside


def require(reason: str | None) -> None:
    """Skip when something has to be made before."""
    if reason is not None:
        pytest.skip(reason)


def log_in(swift: RealSwift) -> Outside:
    """Log in as Swift's own user."""
    headers = {"X-Auth-User": USER, "X-Auth-Key": KEY}
    answer = requests.get(swift.auth_url, headers=headers, timeout=30)
    answer.raise_for_status()
    return Outside(answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"])


def with_users_of(swift: RealSwift) -> Site:
    """Return a Swift that knows its users itself."""
    options = {
        "swift_store_auth_address": swift.auth_url,
        "swift_store_auth_version": "1",
        "swift_store_user": USER,
        "swift_store_key": KEY,
    }
    return Site(swift, options, log_in(swift))


@pytest.fixture(scope="session")
def with_own_users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running Swift that knows its users itself."""
    require(missing())
    with RealSwift(tmp_path_factory.mktemp("swift")) as swift:
        yield with_users_of(swift)


@pytest.fixture(scope="session")
def site_of(with_own_users: Site) -> Callable[[RealSwift], Site]:
    """Make a site of another Swift."""
    return with_users_of


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A running Keystone with the service's user and Swift's."""
    testing = pytest.importorskip(
        "glancekit_keystone_auth.testing",
        reason="the tests with Keystone need glancekit-keystone-auth, which starts it",
    )
    require(testing.missing())
    folder = tmp_path_factory.mktemp("keystone") / "data"
    with testing.RealKeystone(testing.find_environment(), folder) as server:
        server.fill()
        server.make_user("swift", "service", "service", "admin")
        server.make_user("outside", "service", "admin")
        server.call("POST", "/roles", {"role": {"name": "ResellerAdmin"}})
        server.make_user("glance", "service", "ResellerAdmin")
        server.make_user("other-member", "other", "member")
        yield server


@pytest.fixture(scope="session")
def with_keystone(keystone: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running Swift whose users are in Keystone."""
    require(missing())
    with RealSwift(tmp_path_factory.mktemp("swift"), keystone=keystone.url) as swift:
        keystone.make_endpoint("object-store", swift.endpoint)
        options = {
            "swift_store_auth_address": keystone.url,
            "swift_store_user": "service:glance",
            "swift_store_key": "secret",
        }
        url = swift.endpoint % {"project_id": keystone.make_project("service")}
        yield Site(swift, options, Outside(url, keystone.token("outside", "service")))


@pytest.fixture
def account_of(with_keystone: Site, keystone: Any) -> Callable[[str, str], Outside]:
    """Look at a project's account as one of its users."""

    def account_of(user: str, project: str) -> Outside:
        url = with_keystone.swift.endpoint % {"project_id": keystone.make_project(project)}
        return Outside(url, keystone.token(user, project))

    return account_of


@pytest.fixture
def caller_of(keystone: Any) -> Callable[..., Caller]:
    """Log a user in, as a caller whose request is about an image of their own project."""

    def caller_of(user: str, project: str, *, owner: str | None = None) -> Caller:
        return Caller(
            owner=keystone.make_project(owner or project),
            project_id=keystone.make_project(project),
            token=keystone.token(user, project),
        )

    return caller_of


@pytest.fixture
def site(with_own_users: Site) -> Site:
    """The Swift that a test is about."""
    return with_own_users


@pytest.fixture
def outside(site: Site) -> Outside:
    """Its account, seen from outside the store."""
    return site.outside


@pytest.fixture
def container(outside: Outside) -> Iterator[str]:
    """An empty container, whatever is left in it removed afterwards."""
    name = f"images-{uuid.uuid4().hex}"
    outside.call("PUT", f"/{name}")
    yield name
    for entry in outside.names(name):
        outside.call("DELETE", f"/{name}/{entry}")
    outside.call("DELETE", f"/{name}")


@pytest.fixture
def build(site: Site) -> Iterator[Build]:
    """Build drivers for the server; all are closed afterwards."""
    built: list[SwiftStore] = []

    def build(container: str, **chosen: Any) -> SwiftStore:
        values = {option.dest: option.default for option in SwiftStore.options}
        values |= {**site.options, "swift_store_container": container, **chosen}
        driver = SwiftStore(SimpleNamespace(**values), name="swift")
        built.append(driver)
        return driver

    yield build
    for driver in built:
        driver.close()


@pytest.fixture
def driver(build: Build, container: str) -> SwiftStore:
    """A driver for an empty container."""
    return build(container)
