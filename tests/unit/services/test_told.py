# SPDX-License-Identifier: Apache-2.0
"""Events of what fails, of downloads, and of tasks from their beginning to their end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.errors import ImageNotFound, Invalid, StoreError, StoreUnavailable
from glancekit.core.model.changes import NewLocation
from glancekit.core.model.events import Event
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, now
from glancekit.core.stream import IteratorStream
from glancekit.services import data, locations, tasks
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore


def told(world: World, *kinds: str) -> Sequence[Event]:
    """Return the events of these types, or of all that begin so."""
    with world.metadata.unit_of_work(read_only=True) as work:
        return [
            event for event in work.events.after(0, limit=1000) if event.type.startswith(kinds)
        ]


def upload(world: World, caller: Identity, image: Image, content: bytes, size: int) -> None:
    source = IteratorStream(iter([content]))
    data.upload(world, caller, image.id, source, size=size, store=None)


def test_an_upload_that_fails_is_told_once_it_is_undone(
    world: World, member: Identity, queued: Image
) -> None:
    with pytest.raises(Invalid):
        upload(world, member, queued, b"data", 5)
    (event,) = told(world, "image.upload")
    assert (event.type, event.subject) == ("image.upload.failed", queued.id)
    assert (event.project_id, event.user_id) == (member.project_id, member.user_id)
    assert "5 bytes were declared" in event.payload["reason"]
    assert told(world, "image.")[-1] == event


def test_a_store_that_fails_is_told_too_and_a_refusal_is_not(
    world: World, member: Identity, stranger: Identity, queued: Image, store: FaultyStore
) -> None:
    store.fail("write", StoreUnavailable("gone for now"))
    with pytest.raises(StoreError):
        upload(world, member, queued, b"data", 4)
    assert [event.type for event in told(world, "image.upload")] == ["image.upload.failed"]
    store.heal()
    upload(world, member, queued, b"data", 4)
    with pytest.raises(ImageNotFound):
        upload(world, stranger, queued, b"data", 4)
    kinds = [event.type for event in told(world, "image.upload")]
    assert kinds == ["image.upload.failed", "image.upload"]


@pytest.mark.parametrize(
    ("is_whole", "kind"), [(True, "image.send"), (False, "image.send.failed")]
)
def test_downloads(
    world: World, member: Identity, active: Image, is_whole: bool, kind: str
) -> None:
    data.tell_sent(world, member, active, 3, is_whole=is_whole)
    (event,) = told(world, "image.send")
    assert event.type == kind
    assert event.payload == {
        "bytes_sent": 3,
        "image_id": active.id,
        "owner_id": active.owner,
        "receiver_tenant_id": member.project_id,
        "receiver_user_id": member.user_id,
    }


def forget_all(world: World) -> int:
    return tasks.forget_expired(world, before=now() + timedelta(days=99))


def test_a_registered_location_s_task_is_told_from_its_beginning_to_its_being_forgotten(
    world: World, member: Identity, queued: Image, store: FaultyStore
) -> None:
    store.blobs["snapshot"] = b"data"
    service = replace(member, roles=member.roles | {"service"})
    locations.register(world, service, queued.id, NewLocation(url="memory://fast/snapshot"))
    end = time.monotonic() + 30
    while not told(world, "task.success"):
        assert time.monotonic() < end
        time.sleep(0.01)
    assert forget_all(world) == 1
    events = told(world, "task.")
    kinds = ["task.create", "task.run", "task.processing", "task.success", "task.delete"]
    assert [event.type for event in events] == kinds
    assert {event.payload["type"] for event in events} == {"location_import"}
    statuses = [event.payload["status"] for event in events]
    assert statuses == ["pending", "pending", "processing", "success", "success"]
    assert forget_all(world) == 0
