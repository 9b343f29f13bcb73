# SPDX-License-Identifier: Apache-2.0
"""With whom an image is shared, and what they make of it.

The owner adds and removes; only the member decides whether to accept. A member sees itself alone.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Forbidden, InvalidField, LimitExceeded, MemberNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, Member, MemberStatus, Visibility
from glancekit.services import attributes, readers
from glancekit.services.images import find_permitted, find_visible
from glancekit.services.notices import about_member
from glancekit.services.world import World


def add(world: World, caller: Identity, image_id: str, project_id: str) -> Member:
    """Share an image with a project, which has yet to accept it.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the caller may not, or the image's visibility is not ``shared``.
    :raises Duplicate: when it is shared with that project already.
    :raises LimitExceeded: when it has too many members.
    """
    member = Member(image_id=image_id, project_id=_project_id(project_id))
    with world.metadata.unit_of_work() as work:
        image = find_permitted(world, work, caller, image_id, "add_member")
        _require_shared(image)
        limit = world.settings.image_member_quota
        count = len(work.members.of_image(image_id))
        if 0 <= limit <= count:
            raise LimitExceeded(what="members for one image", limit=limit, asked=count + 1)
        work.members.add(member)
        work.events.append(about_member(image, member, "image.member.create", caller))
        work.commit()
    readers.follow(world, caller, image)
    return member


def find(world: World, caller: Identity, image_id: str) -> list[Member]:
    """Return the members that the caller may see: the owner all, a member itself.

    :raises ImageNotFound: when there is none that the caller may see.
    :raises Forbidden: when the image's visibility is not ``shared``.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_permitted(world, work, caller, image_id, "get_members")
        _require_shared(image)
        members = work.members.of_image(image_id)
    return [member for member in members if _sees(world, caller, image, member)]


def show(world: World, caller: Identity, image_id: str, project_id: str) -> Member:
    """Return one member.

    :raises ImageNotFound: when there is no image that the caller may see.
    :raises MemberNotFound: when there is no such member, or the caller may not know.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        image = find_visible(world, work, caller, image_id)
        return _visible_member(world, work, caller, image, project_id)


def decide(world: World, caller: Identity, image_id: str, project_id: str, status: str) -> Member:
    """Accept, reject or put off an image that was shared with the caller.

    :raises ImageNotFound: when there is no image that the caller may see.
    :raises MemberNotFound: when there is no such member, or the caller may not know.
    :raises Forbidden: when the caller is not that member.
    :raises InvalidField: when there is no such decision.
    """
    decision = _status(status)
    with world.metadata.unit_of_work() as work:
        image = find_visible(world, work, caller, image_id)
        member = _visible_member(world, work, caller, image, project_id)
        world.access.require(
            caller, "modify_member", owner=image.owner, image=image, member=member.project_id
        )
        saved = work.members.save(replace(member, status=decision))
        work.events.append(about_member(image, saved, "image.member.update", caller))
        work.commit()
    return saved


def remove(world: World, caller: Identity, image_id: str, project_id: str) -> None:
    """Stop sharing an image with a project.

    :raises ImageNotFound: when there is no image that the caller may see.
    :raises Forbidden: when the caller may not, or the image's visibility is not ``shared``.
    :raises MemberNotFound: when there is no such member.
    """
    with world.metadata.unit_of_work() as work:
        image = find_permitted(world, work, caller, image_id, "delete_member")
        _require_shared(image)
        member = work.members.get(image_id, project_id)
        work.members.remove(image_id, project_id)
        work.events.append(about_member(image, member, "image.member.delete", caller))
        work.commit()
    readers.follow(world, caller, image)


def _visible_member(
    world: World, work: UnitOfWork, caller: Identity, image: Image, project_id: str
) -> Member:
    member = work.members.get(image.id, project_id)
    if not _sees(world, caller, image, member):
        raise MemberNotFound(image_id=image.id, project_id=project_id)
    return member


def _sees(world: World, caller: Identity, image: Image, member: Member) -> bool:
    return world.access.may(
        caller, "get_member", owner=image.owner, image=image, member=member.project_id
    )


def _require_shared(image: Image) -> None:
    if image.visibility is not Visibility.SHARED:
        raise Forbidden(
            action=f"share image {image.id}: its visibility is {image.visibility}, not shared"
        )


def _project_id(text: str) -> str:
    if not 0 < len(text) <= attributes.MAX_NAME:
        raise InvalidField(field="member", reason="a project's id has 1 to 255 characters")
    if not text.isprintable():
        raise InvalidField(field="member", reason="a project's id has printable characters only")
    return text


def _status(text: str) -> MemberStatus:
    try:
        return MemberStatus(text)
    except ValueError:
        known = ", ".join(MemberStatus)
        raise InvalidField(field="status", reason=f"it must be one of {known}") from None
