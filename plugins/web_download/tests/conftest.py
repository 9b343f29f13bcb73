# SPDX-License-Identifier: Apache-2.0
"""Servers to import from, and methods that may ask this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from glancekit_web_download.web import WebDownload
from glancekit_web_reading.testing import (
    HERE,
    BadServer,
    Behaviour,
    Nginx,
    bad_servers,
    missing,
)

from glancekit.plugin import FILTER_SECTION

Misbehave = Callable[[Behaviour], BadServer]
BuildWeb = Callable[..., WebDownload]


@pytest.fixture(scope="session")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A running nginx."""
    if reason := missing():
        pytest.skip(reason)
    with Nginx(tmp_path_factory.mktemp("nginx")) as server:
        yield server


@pytest.fixture
def misbehave() -> Iterator[Misbehave]:
    """Start servers; all are closed at the end."""
    with bad_servers() as start:
        yield start


@pytest.fixture
def options_of() -> Callable[..., SimpleNamespace]:
    """Returns what a method is built with: its defaults, and what a test wants otherwise."""

    def options_of(
        kind: Any, filtering: Mapping[str, Any] | None = None, cap: int = 1 << 40, **given: Any
    ) -> SimpleNamespace:
        defaults = {option.dest: option.default for option in kind.options}
        allowed = {
            "allowed_schemes": ["http", "https"],
            "disallowed_schemes": [],
            "allowed_ports": [],
            "disallowed_ports": [],
            "allowed_hosts": [HERE, "localhost"],
            "disallowed_hosts": [],
            "allow_private": True,
        }
        sections = {
            FILTER_SECTION: SimpleNamespace(**allowed | dict(filtering or {})),
            "DEFAULT": SimpleNamespace(image_size_cap=cap),
        }
        return SimpleNamespace(**defaults | given | sections)

    return options_of


@pytest.fixture
def build(options_of: Callable[..., SimpleNamespace]) -> BuildWeb:
    """Build the method ``web-download``."""

    def build(
        filtering: Mapping[str, Any] | None = None, cap: int = 1 << 40, **given: Any
    ) -> WebDownload:
        return WebDownload(options_of(WebDownload, filtering, cap, **given), name="web-download")

    return build
