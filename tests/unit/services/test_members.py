# SPDX-License-Identifier: Apache-2.0
"""Sharing, and taking images out of use: who decides what, in which state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from glancekit.core.errors import (
    Duplicate,
    Forbidden,
    ImageNotFound,
    InvalidField,
    LimitExceeded,
    MemberNotFound,
)
from glancekit.core.model.changes import Change, Op
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.status import ImageStatus
from glancekit.services import actions, images, members
from glancekit.services.world import World


def test_an_owner_shares_and_the_member_decides(
    world: World, member: Identity, stranger: Identity, active: Image
) -> None:
    with pytest.raises(ImageNotFound):
        images.show(world, stranger, active.id)
    assert members.add(world, member, active.id, "p2").status == "pending"
    assert images.show(world, stranger, active.id).id == active.id
    assert images.find(world, stranger, ImageQuery()).images == ()
    assert members.decide(world, stranger, active.id, "p2", "accepted").status == "accepted"
    assert [image.id for image in images.find(world, stranger, ImageQuery()).images] == [active.id]
    members.remove(world, member, active.id, "p2")
    with pytest.raises(ImageNotFound):
        images.show(world, stranger, active.id)


def test_only_the_owner_shares_and_only_the_member_accepts(
    world: World, member: Identity, reader: Identity, stranger: Identity, active: Image
) -> None:
    members.add(world, member, active.id, "p2")
    with pytest.raises(Forbidden):
        members.add(world, stranger, active.id, "p3")
    with pytest.raises(Forbidden):
        members.remove(world, stranger, active.id, "p2")
    with pytest.raises(Forbidden):
        members.decide(world, member, active.id, "p2", "accepted")
    with pytest.raises(Forbidden):
        members.add(world, reader, active.id, "p3")


def test_a_member_sees_itself_alone(
    world: World, member: Identity, stranger: Identity, admin: Identity, active: Image
) -> None:
    for project in ("p2", "p3"):
        members.add(world, member, active.id, project)
    assert [each.project_id for each in members.find(world, stranger, active.id)] == ["p2"]
    assert len(members.find(world, member, active.id)) == 2
    assert len(members.find(world, admin, active.id)) == 2
    assert members.show(world, stranger, active.id, "p2").project_id == "p2"
    with pytest.raises(MemberNotFound):
        members.show(world, stranger, active.id, "p3")
    with pytest.raises(MemberNotFound):
        members.decide(world, stranger, active.id, "p3", "rejected")


def test_what_cannot_be_shared_or_decided(
    world: World, member: Identity, stranger: Identity, active: Image
) -> None:
    members.add(world, member, active.id, "p2")
    with pytest.raises(Duplicate):
        members.add(world, member, active.id, "p2")
    for unfit in ("", "two\nlines"):
        with pytest.raises(InvalidField):
            members.add(world, member, active.id, unfit)
    with pytest.raises(InvalidField):
        members.decide(world, stranger, active.id, "p2", "perhaps")
    with pytest.raises(MemberNotFound):
        members.remove(world, member, active.id, "p9")
    tight = replace(world, settings=replace(world.settings, image_member_quota=1))
    with pytest.raises(LimitExceeded):
        members.add(tight, member, active.id, "p3")
    images.update(world, member, active.id, [Change(Op.REPLACE, "visibility", "private")])
    for attempt in (
        lambda: members.add(world, member, active.id, "p3"),
        lambda: members.find(world, member, active.id),
        lambda: members.remove(world, member, active.id, "p2"),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_an_image_is_taken_out_of_use_and_back(
    world: World, member: Identity, reader: Identity, active: Image, queued: Image
) -> None:
    for _ in range(2):
        actions.deactivate(world, member, active.id)
        assert images.show(world, member, active.id).status is ImageStatus.DEACTIVATED
    with pytest.raises(Forbidden):
        actions.reactivate(world, reader, active.id)
    for _ in range(2):
        actions.reactivate(world, member, active.id)
        assert images.show(world, member, active.id).is_active


def test_an_image_without_data_is_not_taken_out_of_use(
    world: World, member: Identity, queued: Image
) -> None:
    for action in (actions.deactivate, actions.reactivate):
        with pytest.raises(Forbidden):
            action(world, member, queued.id)


def test_a_deactivated_image_can_be_deleted(world: World, member: Identity, active: Image) -> None:
    actions.deactivate(world, member, active.id)
    images.delete(world, member, active.id)
    with pytest.raises(ImageNotFound):
        images.show(world, member, active.id)
