# SPDX-License-Identifier: Apache-2.0
"""A world of memory drivers, one of whose stores fails on demand, and callers of each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from glancekit.core.hooks import Hooks
from glancekit.core.lease import Lease
from glancekit.core.model.changes import NewImage
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import IteratorStream
from glancekit.services import data, images
from glancekit.services.builtins.no_auth import NoAuth
from glancekit.services.world import Settings, World
from glancekit.testing.faults import FaultyStore
from glancekit.testing.memory_metadata import MemoryMetadata
from glancekit.testing.memory_store import MemoryStore


def person(project: str, *roles: str) -> Identity:
    return Identity(user_id=f"u-{project}", project_id=project, roles=frozenset(roles))


@pytest.fixture
def admin() -> Identity:
    return person("ops", "admin", "member", "reader")


@pytest.fixture
def member() -> Identity:
    return person("p1", "member", "reader")


@pytest.fixture
def reader() -> Identity:
    return person("p1", "reader")


@pytest.fixture
def stranger() -> Identity:
    return person("p2", "member", "reader")


@pytest.fixture
def store() -> FaultyStore:
    """The driver of the default store."""
    return FaultyStore(name="fast")


@pytest.fixture
def second() -> MemoryStore:
    """The driver of the other store."""
    return MemoryStore(name="slow")


@pytest.fixture
def world(store: FaultyStore, second: MemoryStore, tmp_path: Path) -> Iterator[World]:
    metadata = MemoryMetadata(None, name="memory")
    metadata.start()
    lease = Lease(metadata)
    lease.start()
    stores = Stores([Store("fast", store, weight=5), Store("slow", second)], "fast")
    yield World(
        metadata=metadata,
        stores=stores,
        auth=NoAuth(None, name="none"),
        hooks=Hooks(),
        lease=lease,
        staging=tmp_path / "staging",
        settings=Settings(image_size_cap=1 << 20, image_property_quota=3, image_tag_quota=2),
    )
    store.heal()
    lease.stop()


@pytest.fixture
def queued(world: World, member: Identity) -> Image:
    """An image of p1 that waits for its bytes."""
    return images.create(world, member, NewImage(disk_format="raw", container_format="bare"))


@pytest.fixture
def active(world: World, member: Identity, queued: Image) -> Image:
    """An image of p1 with the bytes ``data`` in the default store."""
    source = IteratorStream(iter([b"data"]))
    return data.upload(world, member, queued.id, source, size=4, store=None)
