# SPDX-License-Identifier: Apache-2.0
"""A real Keystone for the tests, and drivers that are built as bootstrap builds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_keystone_auth.driver import KeystoneAuth
from glancekit_keystone_auth.testing import PASSWORD, RealKeystone, find_environment

Build = Callable[..., KeystoneAuth]


@pytest.fixture(scope="session")
def keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealKeystone]:
    """A running Keystone with projects and users."""
    environment = find_environment()
    if environment is None:
        pytest.skip("there is no Keystone to test with: sh tools/keystone.sh .venv-keystone")
    with RealKeystone(environment, tmp_path_factory.mktemp("keystone") / "data") as server:
        server.fill()
        yield server


@pytest.fixture
def build() -> Iterator[Build]:
    """Build drivers with the service's credentials; all are closed afterwards."""
    built: list[KeystoneAuth] = []

    def build(auth_url: str, **chosen: Any) -> KeystoneAuth:
        values = {option.dest: option.default for option in KeystoneAuth.options}
        values |= {"auth_url": auth_url, "username": "glance", "password": PASSWORD}
        values |= {"project_name": "service", "user_domain_id": "default"}
        values |= {"project_domain_id": "default", **chosen}
        driver = KeystoneAuth(SimpleNamespace(**values), name="keystone")
        built.append(driver)
        return driver

    yield build
    for driver in built:
        driver.close()
