# SPDX-License-Identifier: Apache-2.0
"""A real Swift for the tests, and drivers that are built as bootstrap builds them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from glancekit_swift_store.driver import SwiftStore
from glancekit_swift_store.testing import KEY, USER, RealSwift, missing

Build = Callable[..., SwiftStore]


class Outside:
    """A look at an account from outside the store, with plain requests."""

    def __init__(self, swift: RealSwift, user: str = USER, key: str = KEY) -> None:
        headers = {"X-Auth-User": user, "X-Auth-Key": key}
        answer = requests.get(swift.auth_url, headers=headers, timeout=30)
        answer.raise_for_status()
        self.url = answer.headers["X-Storage-Url"]
        self.token = answer.headers["X-Auth-Token"]

    def call(self, method: str, path: str = "", **more: Any) -> requests.Response:
        """Ask for something below the account."""
        headers = {"X-Auth-Token": self.token, **more.pop("headers", {})}
        answer = requests.request(
            method, f"{self.url}{path}", headers=headers, timeout=30, **more
        )
        answer.raise_for_status()
        return answer

    def names(self, container: str) -> list[str]:
        """List all objects of a container."""
        return self.call("GET", f"/{container}").text.split()


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSwift]:
    """A running Swift that knows its users itself."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with RealSwift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture(scope="session")
def outside(swift: RealSwift) -> Outside:
    """The account of the tests."""
    return Outside(swift)


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
def build(swift: RealSwift) -> Iterator[Build]:
    """Build drivers for the server; all are closed afterwards."""
    built: list[SwiftStore] = []

    def build(container: str, **chosen: Any) -> SwiftStore:
        values = {option.dest: option.default for option in SwiftStore.options}
        values |= {"swift_store_auth_address": swift.auth_url, "swift_store_auth_version": "1"}
        values |= {"swift_store_user": USER, "swift_store_key": KEY}
        values |= {"swift_store_container": container, **chosen}
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
