# SPDX-License-Identifier: Apache-2.0
"""The servers that the tests read from, and drivers that may read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_http_store.driver import HttpStore
from glancekit_web_reading.testing import (
    HERE,
    BadServer,
    Behaviour,
    Nginx,
    bad_servers,
    missing,
)

from glancekit.plugin import FILTER_SECTION


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A running nginx with a certificate of its own for ``localhost``."""
    if reason := missing():
        pytest.skip(reason)
    with Nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def misbehave() -> Iterator[Callable[[Behaviour], BadServer]]:
    """Start servers; all are closed at the end."""
    with bad_servers() as start:
        yield start


# -- drivers

Build = Callable[..., HttpStore]


@pytest.fixture
def build() -> Iterator[Build]:
    """Build drivers that may ask this host and no other; all are closed at the end."""
    built: list[HttpStore] = []

    def build(filtering: dict[str, Any] | None = None, **given: Any) -> HttpStore:
        defaults = {option.dest: option.default for option in HttpStore.options}
        allowed = {
            "allowed_schemes": ["http", "https"],
            "disallowed_schemes": [],
            "allowed_ports": [],
            "disallowed_ports": [],
            "allowed_hosts": [HERE, "localhost"],
            "disallowed_hosts": [],
            "allow_private": True,
        }
        section = SimpleNamespace(**allowed | (filtering or {}))
        options = SimpleNamespace(**defaults | given | {FILTER_SECTION: section})
        built.append(HttpStore(options, name="http"))
        return built[-1]

    yield build
    for driver in built:
        driver.close()
