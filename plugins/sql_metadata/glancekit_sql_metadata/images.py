# SPDX-License-Identifier: Apache-2.0
"""The image repository: reading, the compare-and-set, and keeping the lists in step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, insert, select, update

from glancekit.plugin import (
    EVERYBODY,
    Comparison,
    Condition,
    Conflict,
    Duplicate,
    Image,
    ImageNotFound,
    ImageQuery,
    ImageRepository,
    ImageStatus,
    Invalid,
    MemberStatus,
    Page,
    SortKey,
    StatusConflict,
    Tombstone,
    Viewer,
    Visibility,
)
from glancekit_sql_metadata import lists, paging, rows
from glancekit_sql_metadata.quotas import SqlQuotas
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import (
    deleted_images,
    image_lists,
    image_locations,
    image_members,
    images,
    shared_images,
)

_ID: BindParameter[str] = bindparam("id_")

_GET = (
    select(*rows.IMAGE_COLUMNS, *rows.LOCATION_COLUMNS)
    .select_from(images.outerjoin(image_locations, image_locations.c.image_id == images.c.id))
    .where(images.c.id == _ID)
    .order_by(image_locations.c.id)
)
_STEP = (
    select(images)
    .where(images.c.id > bindparam("after"))
    .order_by(images.c.id)
    .limit(bindparam("limit"))
    .subquery()
)
_WALK = (
    select(*(_STEP.c[column.name] for column in rows.IMAGE_COLUMNS), *rows.LOCATION_COLUMNS)
    .select_from(_STEP.outerjoin(image_locations, image_locations.c.image_id == _STEP.c.id))
    .order_by(_STEP.c.id, image_locations.c.id)
)
_MARKER = select(images).where(images.c.id == _ID)
_LOCK = select(images.c.id).where(images.c.id == _ID)
_IS_MEMBER = select(image_members.c.status).where(
    image_members.c.image_id == _ID, image_members.c.project_id == bindparam("project")
)
_MEMBERS = select(image_members.c.project_id, image_members.c.status).where(
    image_members.c.image_id == _ID
)
_WAS_DELETED = select(deleted_images.c.id).where(deleted_images.c.id == _ID)

_BURIED = select(deleted_images).order_by(deleted_images.c.id).limit(bindparam("limit"))
_BURIED_AFTER = _BURIED.where(deleted_images.c.id > bindparam("after"))

_SAVE = update(images).where(images.c.id == _ID, images.c.version == bindparam("version_"))
_DELETE = delete(images).where(images.c.id == _ID)
_DELETE_MEMBERS = delete(image_members).where(image_members.c.image_id == _ID)
_BURY = insert(deleted_images)
_WITHDRAW = delete(shared_images).where(shared_images.c.image_id == _ID)
_RESORT = update(shared_images).where(shared_images.c.image_id == _ID)
_SHARE = insert(shared_images).from_select(
    ["image_id", "project_id", "status", "os_hidden", "name", "created_at", "updated_at"],
    select(
        image_members.c.image_id,
        image_members.c.project_id,
        image_members.c.status,
        images.c.os_hidden,
        images.c.name,
        images.c.created_at,
        images.c.updated_at,
    )
    .join_from(images, image_members, image_members.c.image_id == images.c.id)
    .where(images.c.id == _ID),
)
_ENTER = insert(image_lists)
_LEAVE = delete(image_lists).where(
    image_lists.c.list == bindparam("list_"),
    image_lists.c.created_at == bindparam("at_"),
    image_lists.c.image_id == _ID,
)

_ACTIVE = Condition("status", Comparison.EQ, ImageStatus.ACTIVE.value)

_INT64 = (1 << 63) - 1


class SqlImages(ImageRepository):
    """Images in a session."""

    def __init__(self, session: Session, quotas: SqlQuotas) -> None:
        self._session = session
        self._quotas = quotas

    def get(self, image_id: str, *, viewer: Viewer = EVERYBODY) -> Image:
        """See the contract."""
        if not self._session.read_only:
            self._session.hold(_LOCK, image_id)
        rows_found = self._session.execute(_GET, {"id_": image_id}).all()
        found = rows.images_with_locations(rows_found)
        if not found or not self._may_know(viewer, image_id, found[0].owner, found[0].visibility):
            raise ImageNotFound(image_id=image_id)
        return found[0]

    def find(self, query: ImageQuery) -> Page:
        """See the contract."""
        order = paging.total_order(query.sort)
        marker = None if query.marker is None else self._marker(query, order)
        plan = self._narrowed(lists.plan(query))
        if query.limit <= 0 or not plan.branches:
            return Page((), is_full=False)
        if _ACTIVE in plan.conditions:
            # Nearly every image is: where the page has no other, nothing needs to be looked up.
            others = tuple(each for each in plan.conditions if each != _ACTIVE)
            found = self._walk(query, replace(plan, conditions=others), order, marker)
            if all(image.status is ImageStatus.ACTIVE for image in found):
                return _page(query, found)
        return _page(query, self._walk(query, plan, order, marker))

    def _walk(
        self,
        query: ImageQuery,
        plan: lists.Plan,
        order: tuple[SortKey, ...],
        marker: tuple[Any, ...] | None,
    ) -> list[Image]:
        """Return the images of a page and, if there is one, the first of the next page."""
        shape = paging.Shape(
            branches=tuple(
                paging.BranchShape(
                    branch.scope.kind, len(branch.also), branch.owner is not None, branch.is_plain
                )
                for branch in plan.branches
            ),
            conditions=tuple(_condition_shape(condition) for condition in plan.conditions),
            order=order,
            compares_rows=self._session.dialect.compares_rows,
            skips_nulls=self._session.dialect.skips_nulls,
            marker=None if marker is None else tuple(value is None for value in marker),
        )
        statement = paging.page_statement(shape)
        parameters = _page_parameters(query, plan, marker)
        return rows.images_with_locations(self._session.execute(statement, parameters).all())

    def walk(self, *, limit: int, after: str | None = None) -> Sequence[Image]:
        """See the contract."""
        asked = {"limit": limit, "after": after or ""}  # no id is empty
        return rows.images_with_locations(self._session.execute(_WALK, asked).all())

    def add(self, image: Image) -> None:
        """See the contract."""
        values = rows.image_values(image)
        if self._session.insert(images, values) is None:
            raise Duplicate(kind="image", key=image.id)
        # Looked up behind the insert, which waits for whoever is deleting an image of this id.
        if self._session.execute(_WAS_DELETED, {"id_": image.id}).first() is not None:
            self._session.write(_DELETE, {"id_": image.id})
            raise Duplicate(kind="image", key=image.id)
        self._quotas.added(image)
        self._enter(_labelled_lists(image), values["created_at"], image.id)

    def save(self, image: Image, *, expect_status: Collection[ImageStatus]) -> Image:
        """See the contract."""
        self._session.hold(_LOCK, image.id)
        found = rows.images_with_locations(self._session.execute(_GET, {"id_": image.id}))
        if not found:
            raise ImageNotFound(image_id=image.id)
        stored = found[0]
        if stored.status not in expect_status:
            wanted = " or ".join(sorted(expect_status))
            raise StatusConflict(image_id=image.id, status=stored.status.value, wanted=wanted)
        if stored.version != image.version:
            raise _changed_meanwhile(image.id)
        saved = replace(
            image,
            created_at=stored.created_at,
            updated_at=datetime.now(UTC),
            version=stored.version + 1,
            locations=tuple(replace(place, size=image.size) for place in stored.locations),
        )
        if not _counts_alike(stored, saved):
            self._quotas.touch(image.id)
        if image.status is ImageStatus.DELETED:
            self._bury(stored, saved)
        else:
            self._replace(stored, saved)
        return saved

    def bury(self, tombstone: Tombstone) -> bool:
        """See the contract."""
        key = {"id_": tombstone.id}
        if self._session.execute(_LOCK, key).first() is not None:
            raise Duplicate(kind="image", key=tombstone.id)
        return self._session.insert(deleted_images, _tombstone_values(tombstone)) is not None

    def buried(self, *, limit: int, after: str | None = None) -> Sequence[Tombstone]:
        """See the contract."""
        statement = _BURIED if after is None else _BURIED_AFTER
        found = self._session.execute(statement, {"limit": limit, "after": after})
        return [
            Tombstone(id=row.id, owner=row.owner, deleted_at=rows.from_time(row.deleted_at))
            for row in found
        ]

    def _may_know(
        self, viewer: Viewer, image_id: str, owner: str | None, visibility: Visibility
    ) -> bool:
        if viewer.is_admin or owner is None or owner == viewer.project_id:
            return True
        if visibility is not Visibility.SHARED:
            return visibility in (Visibility.PUBLIC, Visibility.COMMUNITY)
        if viewer.project_id is None:
            return False
        asked = {"id_": image_id, "project": viewer.project_id}
        return self._session.execute(_IS_MEMBER, asked).first() is not None

    def _marker(self, query: ImageQuery, order: tuple[SortKey, ...]) -> tuple[Any, ...]:
        """Return the marker's place in the order."""
        marker = query.marker or ""
        row = self._session.execute(_MARKER, {"id_": marker}).mappings().first()
        if row is None or not self._may_know(
            query.viewer, marker, row["owner"], Visibility(row["visibility"])
        ):
            raise ImageNotFound(image_id=marker)
        return tuple(row[key.column] for key in order)

    def _narrowed(self, plan: lists.Plan) -> lists.Plan:
        """Return the plan so that each branch walks the shortest of its lists."""
        names = {name for branch in plan.branches for name in branch.choices()}
        if not names:
            return plan
        ordered = sorted(names)
        asked = {f"list{place}": name for place, name in enumerate(ordered)}
        lengths = self._session.execute(paging.lengths_statement(len(ordered)), asked).one()
        length = dict(zip(ordered, lengths, strict=True))
        branches = tuple(branch.walking_the_shortest(length) for branch in plan.branches)
        return replace(plan, branches=branches)

    def _replace(self, stored: Image, saved: Image) -> None:
        values = rows.image_values(saved)
        key = {"id_": saved.id, "version_": stored.version}
        if self._session.write(_SAVE, values | key).rowcount != 1:
            raise _changed_meanwhile(saved.id)
        before, after = self._all_lists(stored, saved)
        self._leave(before - after, values["created_at"], saved.id)
        self._enter(after - before, values["created_at"], saved.id)
        self._sort_for_members(stored, saved, values)

    def _sort_for_members(self, stored: Image, saved: Image, values: dict[str, Any]) -> None:
        """Keep what members' pages are sorted by in step with an image that was saved."""
        was_shared, is_shared = (
            image.visibility is Visibility.SHARED for image in (stored, saved)
        )
        key = {"id_": saved.id}
        if was_shared and is_shared:
            sorts = {name: values[name] for name in ("os_hidden", "name", "updated_at")}
            self._session.write(_RESORT, sorts | key)
        elif was_shared:
            self._session.write(_WITHDRAW, key)
        elif is_shared:
            self._session.write(_SHARE, key)

    def _bury(self, stored: Image, saved: Image) -> None:
        created_at = rows.to_time(stored.created_at)
        members = self._members(saved.id)
        self._leave(_labelled_lists(stored) | _member_lists(stored, members), created_at, saved.id)
        self._session.write(_WITHDRAW, {"id_": saved.id})
        self._session.write(_DELETE_MEMBERS, {"id_": saved.id})
        self._session.write(_DELETE, {"id_": saved.id})
        tombstone = Tombstone(id=saved.id, owner=stored.owner, deleted_at=saved.updated_at)
        self._session.write(_BURY, _tombstone_values(tombstone))

    def _all_lists(self, stored: Image, saved: Image) -> tuple[set[bytes], set[bytes]]:
        """Return the lists an image was in and those it belongs in now."""
        if _listed_alike(stored, saved):
            return set(), set()
        before, after = _labelled_lists(stored), _labelled_lists(saved)
        if (stored.visibility, stored.os_hidden) != (saved.visibility, saved.os_hidden):
            members = self._members(saved.id)
            before |= _member_lists(stored, members)
            after |= _member_lists(saved, members)
        return before, after

    def _members(self, image_id: str) -> list[tuple[str, MemberStatus]]:
        found = self._session.execute(_MEMBERS, {"id_": image_id}).mappings()
        return [(row["project_id"], MemberStatus(row["status"])) for row in found]

    def _enter(self, names: set[bytes], created_at: int, image_id: str) -> None:
        if names:
            entries = [
                {"list": name, "created_at": created_at, "image_id": image_id}
                for name in sorted(names)
            ]
            self._session.write(_ENTER, entries)

    def _leave(self, names: set[bytes], created_at: int, image_id: str) -> None:
        if names:
            entries = [
                {"list_": name, "at_": created_at, "id_": image_id} for name in sorted(names)
            ]
            self._session.write(_LEAVE, entries)


def _changed_meanwhile(image_id: str) -> Conflict:
    return Conflict(f"Image {image_id} was changed by somebody else meanwhile; read it again")


def _tombstone_values(tombstone: Tombstone) -> dict[str, Any]:
    return {
        "id": tombstone.id,
        "owner": tombstone.owner,
        "deleted_at": rows.to_time(tombstone.deleted_at),
    }


def _counts_alike(one: Image, other: Image) -> bool:
    """Say whether two states of an image use the same of their project's quotas."""
    return (one.owner, one.status, one.size) == (other.owner, other.status, other.size)


def _listed_alike(one: Image, other: Image) -> bool:
    """Say whether two states of an image are in the same lists."""
    return (
        one.owner == other.owner
        and one.visibility is other.visibility
        and one.os_hidden == other.os_hidden
        and one.status is other.status
        and one.name == other.name
        and one.tags == other.tags
        and one.properties == other.properties
    )


def _labelled_lists(image: Image) -> set[bytes]:
    return lists.lists_with(
        lists.scopes_of(image.owner, image.visibility.value, image.os_hidden),
        lists.labels_of(image.status.value, image.name, image.properties, image.tags),
    )


def _member_lists(image: Image, members: list[tuple[str, MemberStatus]]) -> set[bytes]:
    """Return the lists in which an image is for its members: none unless it is shared now."""
    if image.visibility is not Visibility.SHARED:
        return set()
    return {lists.member_list(project, status, image.os_hidden) for project, status in members}


def _page(query: ImageQuery, found: Sequence[Image]) -> Page:
    return Page(tuple(found[: query.limit]), is_full=len(found) > query.limit)


def _condition_shape(condition: Condition) -> tuple[str, Comparison]:
    if condition.column not in paging.CONDITION_COLUMNS:
        raise Invalid(f"Images cannot be filtered by '{condition.column}'")
    return condition.column, condition.comparison


def _page_parameters(
    query: ImageQuery, plan: lists.Plan, marker: tuple[Any, ...] | None
) -> dict[str, Any]:
    parameters: dict[str, Any] = {"limit": query.limit + 1}
    for number, branch in enumerate(plan.branches):
        parameters[f"list{number}"] = branch.walked
        parameters[f"project{number}"] = branch.scope.project
        parameters[f"of{number}"] = branch.scope.of
        parameters[f"hidden{number}"] = branch.scope.hidden
        parameters[f"owner{number}"] = branch.owner
        for place, other in enumerate(branch.also):
            parameters[f"also{number}_{place}"] = other
    for place, condition in enumerate(plan.conditions):
        parameters[f"value{place}"] = _stored(condition.value)
    for place, value in enumerate(marker or ()):
        parameters[f"marker{place}"] = value
    return parameters


def _stored(value: str | int | bool | datetime | tuple[str, ...]) -> Any:
    """Return a condition's value as columns have it."""
    if isinstance(value, datetime):
        return rows.to_time(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        # A number that no column can hold compares as the greatest one that it can.
        return max(-_INT64, min(value, _INT64))
    if isinstance(value, tuple):
        return [str(word) for word in value]
    return str(value)
