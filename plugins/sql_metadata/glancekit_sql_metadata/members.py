# SPDX-License-Identifier: Apache-2.0
"""The member repository. Members' lists of what was shared with them are kept in step here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from glancekit.plugin import (
    Duplicate,
    ImageNotFound,
    Member,
    MemberNotFound,
    MemberRepository,
    MemberStatus,
    Visibility,
)
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.lists import member_list
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import image_lists, image_members, images, shared_images

_KEY = (
    image_members.c.image_id == bindparam("id_"),
    image_members.c.project_id == bindparam("project_"),
)
_GET = select(image_members).where(*_KEY)
_OF_IMAGE = (
    select(image_members)
    .where(image_members.c.image_id == bindparam("id_"))
    .order_by(image_members.c.created_at, image_members.c.project_id)
)
_IMAGE = select(
    images.c.created_at,
    images.c.visibility,
    images.c.os_hidden,
    images.c.name,
    images.c.updated_at,
).where(images.c.id == bindparam("id_"))
_SAVE = update(image_members).where(*_KEY)
_REMOVE = delete(image_members).where(*_KEY)
_SHARE = insert(shared_images)
_WITHDRAW = delete(shared_images).where(
    shared_images.c.image_id == bindparam("id_"),
    shared_images.c.project_id == bindparam("project_"),
)
_ENTER = insert(image_lists)
_LEAVE = delete(image_lists).where(
    image_lists.c.list == bindparam("list_"),
    image_lists.c.created_at == bindparam("at_"),
    image_lists.c.image_id == bindparam("id_"),
)


class SqlMembers(MemberRepository):
    """Members in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, member: Member) -> None:
        """See the contract."""
        if self._image(member.image_id) is None:
            raise ImageNotFound(image_id=member.image_id)
        values = {
            "image_id": member.image_id,
            "project_id": member.project_id,
            "status": member.status.value,
            "created_at": rows.to_time(member.created_at),
            "updated_at": rows.to_time(member.updated_at),
        }
        if self._session.insert(image_members, values) is None:
            key = f"{member.project_id}' of image '{member.image_id}"
            raise Duplicate(kind="member", key=key)
        self._list(member.image_id, member.project_id, None, member.status)

    def get(self, image_id: str, project_id: str) -> Member:
        """See the contract."""
        row = self._session.execute(_GET, {"id_": image_id, "project_": project_id}).first()
        if row is None:
            raise MemberNotFound(image_id=image_id, project_id=project_id)
        return rows.member(row)

    def of_image(self, image_id: str) -> Sequence[Member]:
        """See the contract."""
        return [rows.member(row) for row in self._session.execute(_OF_IMAGE, {"id_": image_id})]

    def save(self, member: Member) -> Member:
        """See the contract."""
        stored = self.get(member.image_id, member.project_id)
        saved = replace(stored, status=member.status, updated_at=datetime.now(UTC))
        self._session.write(
            _SAVE,
            {
                "id_": saved.image_id,
                "project_": saved.project_id,
                "status": saved.status.value,
                "updated_at": rows.to_time(saved.updated_at),
            },
        )
        self._list(saved.image_id, saved.project_id, stored.status, saved.status)
        return saved

    def remove(self, image_id: str, project_id: str) -> None:
        """See the contract."""
        stored = self.get(image_id, project_id)
        self._session.write(_REMOVE, {"id_": image_id, "project_": project_id})
        self._list(image_id, project_id, stored.status, None)

    def _image(self, image_id: str) -> Row[Any] | None:
        lock = _IMAGE if self._session.read_only else self._session.dialect.locking(_IMAGE)
        return self._session.execute(lock, {"id_": image_id}).first()

    def _list(
        self,
        image_id: str,
        project_id: str,
        before: MemberStatus | None,
        after: MemberStatus | None,
    ) -> None:
        """Move an image from one of a project's lists to another, while it is shared."""
        image = self._image(image_id)
        if image is None or image.visibility != Visibility.SHARED or before is after:
            return
        hidden = bool(image.os_hidden)
        if before is not None:
            name = member_list(project_id, before, hidden)
            self._session.write(_LEAVE, {"list_": name, "at_": image.created_at, "id_": image_id})
            self._session.write(_WITHDRAW, {"id_": image_id, "project_": project_id})
        if after is not None:
            name = member_list(project_id, after, hidden)
            entry = {"list": name, "created_at": image.created_at, "image_id": image_id}
            self._session.write(_ENTER, entry)
            shared = {
                "image_id": image_id,
                "project_id": project_id,
                "status": after.value,
                "os_hidden": hidden,
                "name": image.name,
                "created_at": image.created_at,
                "updated_at": image.updated_at,
            }
            self._session.write(_SHARE, shared)
