# SPDX-License-Identifier: Apache-2.0
"""Image records through the use cases: rights, allow-lists, quotas, and what a delete leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glancekit.core.errors import (
    BlobInUse,
    CapabilityMissing,
    Conflict,
    Duplicate,
    Forbidden,
    ImageNotFound,
    InvalidField,
    LimitExceeded,
    Protected,
    ReadOnlyField,
    StoreUnavailable,
)
from glancekit.core.model.changes import Change, NewImage, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Visibility
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.services import images, tags
from glancekit.services.recovery import recover
from glancekit.services.world import World
from glancekit.testing.faults import FaultyStore


def set_to(name: str, value: object) -> list[Change]:
    return [Change(Op.REPLACE, name, value)]


def events(world: World) -> list[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [event.type for event in work.events.after(0, limit=100)]


def rows(world: World, image: Image) -> list[LocationStatus]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [row.status for row in work.locations.of_image(image.id)]


def test_a_member_creates_for_the_own_project_and_is_heard(world: World, member: Identity) -> None:
    image = images.create(world, member, NewImage(name="n", tags=frozenset({"t"})))
    assert (image.owner, image.status, image.visibility) == ("p1", "queued", "shared")
    assert images.show(world, member, image.id).tags == {"t"}
    assert events(world) == ["image.create"]


def test_nobody_but_an_administrator_creates_for_others(
    world: World, member: Identity, admin: Identity
) -> None:
    with pytest.raises(Forbidden):
        images.create(world, member, NewImage(owner="p2"))
    assert images.create(world, admin, NewImage(owner="p2")).owner == "p2"


def test_a_reader_and_a_read_only_caller_create_nothing(
    world: World, reader: Identity, member: Identity
) -> None:
    for caller in (reader, replace(member, read_only=True)):
        with pytest.raises(Forbidden):
            images.create(world, caller, NewImage())


def test_only_an_administrator_makes_an_image_public(
    world: World, member: Identity, admin: Identity, queued: Image
) -> None:
    with pytest.raises(Forbidden):
        images.create(world, member, NewImage(visibility=Visibility.PUBLIC))
    with pytest.raises(Forbidden):
        images.update(world, member, queued.id, set_to("visibility", "public"))
    published = images.update(world, admin, queued.id, set_to("visibility", "public"))
    assert published.visibility is Visibility.PUBLIC


def test_an_id_of_the_callers_own_is_taken_once_and_for_ever(
    world: World, member: Identity
) -> None:
    chosen = "8C5A5C1E-0000-4000-8000-000000000001"
    image = images.create(world, member, NewImage(id=chosen))
    assert image.id == chosen.lower()
    images.delete(world, member, image.id)
    with pytest.raises(Duplicate):
        images.create(world, member, NewImage(id=chosen))
    with pytest.raises(InvalidField):
        images.create(world, member, NewImage(id="../etc/passwd"))


@pytest.mark.parametrize(
    "name",
    ["id", "status", "size", "checksum", "owner_id", "os_glance_import_task", "locations"],
)
def test_what_is_the_services_own_cannot_be_addressed(
    world: World, member: Identity, queued: Image, name: str
) -> None:
    if name == "owner_id":  # no attribute of that name: a free property, and harmless
        assert images.update(world, member, queued.id, [Change(Op.ADD, name, "x")]).properties == {
            name: "x"
        }
        return
    for op in Op:
        with pytest.raises(ReadOnlyField):
            images.update(world, member, queued.id, [Change(op, name, "x")])
    if name != "id":
        with pytest.raises(ReadOnlyField):
            images.create(world, member, NewImage(properties={name: "x"}))


def test_all_changes_are_made_or_none(world: World, member: Identity, queued: Image) -> None:
    changes = [Change(Op.REPLACE, "name", "new"), Change(Op.REMOVE, "absent")]
    with pytest.raises(Conflict):
        images.update(world, member, queued.id, changes)
    assert images.show(world, member, queued.id) == queued
    assert "image.update" not in events(world)


@pytest.mark.parametrize(
    ("op", "there", "error"),
    [
        (Op.ADD, True, None),
        (Op.ADD, False, None),
        (Op.CREATE, True, Duplicate),
        (Op.CREATE, False, None),
        (Op.REPLACE, True, None),
        (Op.REPLACE, False, Conflict),
        (Op.REMOVE, True, None),
        (Op.REMOVE, False, Conflict),
    ],
)
def test_each_operation_on_a_property(
    world: World, member: Identity, op: Op, there: bool, error: type[Exception] | None
) -> None:
    properties = {"p": "old"} if there else {}
    image = images.create(world, member, NewImage(properties=properties))
    if error:
        with pytest.raises(error):
            images.update(world, member, image.id, [Change(op, "p", "new")])
        return
    after = images.update(world, member, image.id, [Change(op, "p", "new")])
    assert after.properties == ({} if op is Op.REMOVE else {"p": "new"})


def test_a_base_attribute_cannot_be_removed(world: World, member: Identity, queued: Image) -> None:
    with pytest.raises(Forbidden):
        images.update(world, member, queued.id, [Change(Op.REMOVE, "name")])


def test_nothing_changes_when_nothing_is_changed(
    world: World, member: Identity, queued: Image
) -> None:
    assert images.update(world, member, queued.id, []) == queued
    assert images.update(world, member, queued.id, set_to("name", queued.name)) == queued
    assert "image.update" not in events(world)


def test_only_an_administrator_gives_an_image_away(
    world: World, member: Identity, admin: Identity, queued: Image
) -> None:
    with pytest.raises(Forbidden):
        images.update(world, member, queued.id, set_to("owner", "p2"))
    assert images.update(world, admin, queued.id, set_to("owner", "p2")).owner == "p2"
    with pytest.raises(ImageNotFound):
        images.update(world, member, queued.id, set_to("owner", "p1"))


def test_formats_are_fixed_once_there_is_data(
    world: World, member: Identity, active: Image
) -> None:
    with pytest.raises(Forbidden):
        images.update(world, member, active.id, set_to("disk_format", "qcow2"))
    assert images.update(world, member, active.id, set_to("disk_format", "raw")) == active


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_disk", -1),
        ("min_ram", 2**31),
        ("min_ram", True),
        ("name", "x" * 256),
        ("name", 7),
        ("protected", "yes"),
        ("visibility", "everyone"),
        ("tags", "text"),
        ("tags", ["x" * 256]),
        ("tags", [""]),
        ("disk_format", "floppy"),
        ("free", 7),
        ("free", "x" * 65536),
        ("x" * 256, "value"),
        ("", "value"),
    ],
)
def test_values_that_are_not_fit_are_refused(
    world: World, member: Identity, queued: Image, name: str, value: object
) -> None:
    with pytest.raises(InvalidField):
        images.update(world, member, queued.id, [Change(Op.ADD, name, value)])


def test_quotas_hold_but_let_what_is_above_them_shrink(world: World, member: Identity) -> None:
    with pytest.raises(LimitExceeded):
        images.create(world, member, NewImage(properties={str(n): "" for n in range(4)}))
    with pytest.raises(LimitExceeded):
        images.create(world, member, NewImage(tags=frozenset("abc")))
    image = images.create(world, member, NewImage(properties={str(n): "" for n in range(3)}))
    lowered = replace(world, settings=replace(world.settings, image_property_quota=1))
    assert len(images.update(lowered, member, image.id, [Change(Op.REMOVE, "0")]).properties) == 2
    with pytest.raises(LimitExceeded):
        images.update(lowered, member, image.id, [Change(Op.ADD, "new", "")])


def test_tags_come_and_go(
    world: World, member: Identity, queued: Image, stranger: Identity
) -> None:
    tags.add(world, member, queued.id, "a")
    tags.add(world, member, queued.id, "a")
    assert images.show(world, member, queued.id).tags == {"a"}
    assert events(world).count("image.update") == 1
    tags.remove(world, member, queued.id, "a")
    with pytest.raises(Exception, match="has no tag 'a'"):
        tags.remove(world, member, queued.id, "a")
    with pytest.raises(ImageNotFound):
        tags.add(world, stranger, queued.id, "b")


def test_a_stranger_sees_nothing_of_anothers_image(
    world: World, stranger: Identity, active: Image
) -> None:
    for attempt in (
        lambda: images.show(world, stranger, active.id),
        lambda: images.delete(world, stranger, active.id),
        lambda: images.update(world, stranger, active.id, []),
    ):
        with pytest.raises(ImageNotFound):
            attempt()


def test_a_stranger_sees_a_public_image_but_changes_nothing(
    world: World, admin: Identity, stranger: Identity, active: Image
) -> None:
    images.update(world, admin, active.id, set_to("visibility", "public"))
    assert images.show(world, stranger, active.id).id == active.id
    with pytest.raises(Forbidden):
        images.update(world, stranger, active.id, set_to("name", "mine"))
    with pytest.raises(Forbidden):
        images.delete(world, stranger, active.id)


def test_a_protected_image_stays(world: World, member: Identity, active: Image) -> None:
    images.update(world, member, active.id, set_to("protected", True))
    with pytest.raises(Protected):
        images.delete(world, member, active.id)
    assert images.show(world, member, active.id).is_active


def test_a_delete_leaves_neither_record_nor_bytes(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    images.delete(world, member, active.id)
    with pytest.raises(ImageNotFound):
        images.show(world, member, active.id)
    assert rows(world, active) == []
    assert store.usage().free == FaultyStore().usage().free
    assert events(world)[-1] == "image.delete"


def test_data_that_others_depend_on_stops_a_delete_and_all_is_as_before(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    store.fail("delete", BlobInUse("a clone"))
    with pytest.raises(BlobInUse):
        images.delete(world, member, active.id)
    kept = images.show(world, member, active.id)
    assert kept.is_active
    assert [location.url for location in kept.locations] == [
        location.url for location in active.locations
    ]


def test_what_a_store_never_deletes_stays_there_and_nothing_waits_for_it(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    store.fail("delete", CapabilityMissing(store="fast", capability="SupportsDelete"))
    images.delete(world, member, active.id)
    assert rows(world, active) == []
    assert events(world)[-1] == "image.delete"
    assert list(store.blobs.values()) == [b"data"]


def test_what_was_condemned_in_such_a_store_is_let_go(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    store.fail("delete", StoreUnavailable("away"))
    images.delete(world, member, active.id)
    store.fail("delete", CapabilityMissing(store="fast", capability="SupportsDelete"))
    recover(world)
    assert rows(world, active) == []
    assert events(world)[-1] == "image.delete"


def test_a_store_that_cannot_delete_now_does_not_keep_the_image(
    world: World, store: FaultyStore, member: Identity, active: Image
) -> None:
    store.fail("delete", StoreUnavailable("away"))
    images.delete(world, member, active.id)
    with pytest.raises(ImageNotFound):
        images.show(world, member, active.id)
    assert rows(world, active) == [LocationStatus.PENDING_DELETE]
    recover(world)
    assert rows(world, active) == [LocationStatus.PENDING_DELETE]
    store.heal()
    recover(world)
    assert rows(world, active) == []
    assert store.usage().free == FaultyStore().usage().free


def test_an_image_that_is_being_deleted_is_not_found(
    world: World, member: Identity, active: Image
) -> None:
    with world.metadata.unit_of_work() as work:
        doomed = replace(active, status=ImageStatus.PENDING_DELETE)
        work.images.save(doomed, expect_status={ImageStatus.ACTIVE})
        work.commit()
    with pytest.raises(ImageNotFound):
        images.show(world, member, active.id)
