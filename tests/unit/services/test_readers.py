# SPDX-License-Identifier: Apache-2.0
"""In whose name a store is asked that knows projects, and who may read there. What a store does
with that is a driver's business.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import pytest

from glancekit.core.contracts.store import Caller, SupportsAcl, SupportsCaller
from glancekit.core.errors import SizeMismatch, StoreDenied, StoreUnavailable
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity, secret
from glancekit.core.model.image import Image, Location, Visibility
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store, Stores
from glancekit.core.stream import ByteStream, IteratorStream
from glancekit.services import acting, data, images, members
from glancekit.services.builtins import readers
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.memory_store import MemoryStore


class ProjectsStore(MemoryStore, SupportsAcl, SupportsCaller):
    """Knows projects, and remembers in whose name it was asked and whom it lets in."""

    def __init__(self) -> None:
        super().__init__(name="projects")
        self.asked: list[tuple[str, Caller | None]] = []
        self.granted: list[tuple[Sequence[str], bool]] = []
        self.refuses: list[Exception] = []
        self.caller: Caller | None = None

    def acting_for(self, caller: Caller) -> Self:
        acting = copy.copy(self)
        acting.caller = caller
        return acting

    def grant(self, location: Location, readers: Sequence[str], *, public: bool) -> None:
        if self.refuses:
            raise self.refuses.pop()
        self.asked.append(("grant", self.caller))
        self.granted.append((list(readers), public))

    def write(self, image_id: str, source: ByteStream, size: int | None) -> Location:
        self.asked.append(("write", self.caller))
        return super().write(image_id, source, size)

    def open(self, location: Location) -> ByteStream:
        self.asked.append(("open", self.caller))
        return super().open(location)

    def discard(self, image_id: str) -> None:
        self.asked.append(("discard", self.caller))
        super().discard(image_id)

    def delete(self, location: Location) -> None:
        self.asked.append(("delete", self.caller))
        super().delete(location)


@pytest.fixture
def projects() -> ProjectsStore:
    return ProjectsStore()


@pytest.fixture
def world(world: World, projects: ProjectsStore) -> World:
    return replace(world, stores=Stores([Store("projects", projects)], "projects"))


@pytest.fixture
def owner() -> Identity:
    return identity("p1")


def identity(project: str, *roles: str) -> Identity:
    return Identity(
        user_id=f"u-{project}",
        project_id=project,
        roles=frozenset({"member", "reader", *roles}),
        token=secret(f"token of {project}"),
    )


def source() -> ByteStream:
    return IteratorStream(iter([b"data"]))


def upload(world: World, caller: Identity, **fields: Any) -> Image:
    new = NewImage(disk_format="raw", container_format="bare", **fields)
    image = images.create(world, caller, new)
    return data.upload(world, caller, image.id, source(), size=4, store=None)


def events_have_come(world: World) -> int:
    return readers.catch_up(world)


def test_a_request_asks_in_its_callers_name(
    world: World, projects: ProjectsStore, owner: Identity
) -> None:
    image = upload(world, owner)
    member = identity("p2")
    members.add(world, owner, image.id, "p2")
    opened = data.download(world, member, image.id, None)
    assert opened.stream is not None
    opened.stream.close()
    images.delete(world, owner, image.id)
    as_owner = Caller(owner="p1", project_id="p1", token="token of p1")
    as_member = Caller(owner="p1", project_id="p2", token="token of p2")
    assert projects.asked == [
        ("write", as_owner),
        ("grant", as_owner),
        ("grant", as_owner),
        ("open", as_member),
        ("delete", as_owner),
    ]


def test_a_failed_upload_is_undone_in_its_callers_name(
    world: World, projects: ProjectsStore, owner: Identity
) -> None:
    image = images.create(world, owner, NewImage(disk_format="raw", container_format="bare"))
    with pytest.raises(SizeMismatch):
        data.upload(world, owner, image.id, source(), size=8, store=None)
    assert projects.asked[-1] == (
        "discard",
        Caller(owner="p1", project_id="p1", token="token of p1"),
    )


def test_a_dead_upload_is_undone_as_the_service_for_the_images_owner(
    world: World, projects: ProjectsStore, owner: Identity
) -> None:
    """Also when the image is gone: the row says whose it was. No token is written down."""
    image = images.create(world, owner, NewImage(disk_format="raw", container_format="bare"))
    row = acting.intent(world.stores, "projects", image, "somebody dead")
    assert dict(row.metadata) == {"owner": "p1"}
    with world.metadata.unit_of_work() as work:
        work.locations.add(row)
        work.commit()
    images.delete(world, owner, image.id)
    assert recover(world)
    assert projects.asked == [("discard", Caller(owner="p1"))]


@pytest.mark.parametrize(
    ("visibility", "granted"),
    [
        ("public", ([], True)),
        ("community", ([], True)),
        ("private", ([], False)),
        ("shared", ([], False)),
    ],
)
def test_readers_follow_the_visibility(
    world: World, projects: ProjectsStore, visibility: str, granted: tuple[list[str], bool]
) -> None:
    admin = identity("p1", "admin")
    other = "private" if visibility == "shared" else "shared"
    image = upload(world, admin, visibility=Visibility(other))
    images.update(world, admin, image.id, [Change(Op.REPLACE, "visibility", visibility)])
    assert projects.granted[-1] == granted


def test_readers_are_the_members(world: World, projects: ProjectsStore, owner: Identity) -> None:
    image = upload(world, owner)
    for project in ("b", "a"):
        members.add(world, owner, image.id, project)
    assert projects.granted[-1] == (["a", "b"], False)
    members.remove(world, owner, image.id, "a")
    assert projects.granted[-1] == (["b"], False)


def test_what_a_request_could_not_tell_is_told_later_as_the_service(
    world: World, projects: ProjectsStore, owner: Identity
) -> None:
    image = upload(world, owner)
    assert events_have_come(world)
    projects.refuses = [StoreUnavailable("away") for _ in range(2)]
    members.add(world, owner, image.id, "p2")  # the answer to the caller is no error
    projects.asked.clear()
    assert events_have_come(world) == 0
    assert projects.granted[-1] == ([], False)
    assert events_have_come(world) == 1
    assert projects.granted[-1] == (["p2"], False)
    assert projects.asked == [("grant", None)]
    assert events_have_come(world) == 0


def test_a_store_that_refuses_holds_up_no_other_image(
    world: World, projects: ProjectsStore, owner: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = upload(world, owner), upload(world, owner)
    assert events_have_come(world) == 2
    for image in (first, second):
        members.add(world, owner, image.id, "p2")
    projects.granted.clear()
    projects.refuses = [StoreDenied("no role")]
    assert events_have_come(world) == 2
    assert projects.granted == [(["p2"], False)]
    assert first.id in caplog.text


def test_the_task_is_offered_where_a_store_has_use_for_it(world: World) -> None:
    assert [task.name for task in readers.register_periodic_tasks(world)] == ["readers"]
    plain = replace(world, stores=Stores([Store("fast", MemoryStore())], "fast"))
    assert readers.register_periodic_tasks(plain) == []


def test_stores_that_act_for_nobody_are_the_same_for_all(world: World) -> None:
    plain = Stores([Store("fast", MemoryStore())], "fast")
    assert plain.acting_for(Caller(owner="p1")) is plain


def test_a_row_is_active_without_what_was_noted_on_the_way(world: World, owner: Identity) -> None:
    image = upload(world, owner)
    with world.metadata.unit_of_work(read_only=True) as work:
        (row,) = work.locations.of_image(image.id)
    assert row.status is LocationStatus.ACTIVE
    assert dict(row.metadata) == {}
