# SPDX-License-Identifier: Apache-2.0
"""A registry in front of records in memory, and its clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from glancekit_registry_metadata.driver import RegistryMetadata
from glancekit_registry_metadata.testing import RunningRegistry, client

from glancekit.plugin import MetadataDriver
from glancekit.testing.memory_metadata import MemoryMetadata


@pytest.fixture
def behind() -> MetadataDriver:
    """What the registry keeps its records in."""
    driver = MemoryMetadata(None, name="memory")
    driver.start()
    return driver


@pytest.fixture
def registry(behind: MetadataDriver) -> Iterator[RunningRegistry]:
    with RunningRegistry(behind) as running:
        yield running


@pytest.fixture
def connect(registry: RunningRegistry) -> Iterator[Callable[[], RegistryMetadata]]:
    """Start one more driver that uses the registry."""
    with ExitStack() as opened:

        def start() -> RegistryMetadata:
            driver = opened.enter_context(closing(client(registry.url)))
            driver.start()
            return driver

        yield start


@pytest.fixture
def driver(connect: Callable[[], RegistryMetadata]) -> RegistryMetadata:
    return connect()
