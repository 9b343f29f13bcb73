# SPDX-License-Identifier: Apache-2.0
"""The task repository: work that outlives its request."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Select, bindparam, delete, select, tuple_, update

from glancekit.plugin import (
    UNFINISHED,
    Conflict,
    Duplicate,
    Task,
    TaskNotFound,
    TaskQuery,
    TaskRepository,
    TaskStatus,
    TaskType,
)
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import tasks

_GET = select(tasks).where(tasks.c.id == bindparam("id_"))
_BY_AGE = (tasks.c.created_at, tasks.c.id)
_OF_IMAGE = select(tasks).where(tasks.c.image_id == bindparam("image_")).order_by(*_BY_AGE)
_UNFINISHED = (
    select(tasks)
    .where(
        tasks.c.type == bindparam("type_"),
        tasks.c.status.in_([status.value for status in UNFINISHED]),
    )
    .order_by(*_BY_AGE)
    .limit(bindparam("limit"))
)
_SAVE = update(tasks).where(tasks.c.id == bindparam("id_"))
_EXPIRED = (
    select(tasks)
    .where(tasks.c.expires_at < bindparam("before"))
    .order_by(tasks.c.expires_at, tasks.c.id)
    .limit(bindparam("limit"))
)
_REMOVE = delete(tasks).where(tasks.c.id.in_(bindparam("ids", expanding=True)))

_SAVED = ("status", "result", "message", "holder", "expires_at", "updated_at")


class SqlTasks(TaskRepository):
    """Tasks in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, task: Task) -> None:
        """See the contract."""
        if self._session.insert(tasks, rows.task_values(task)) is None:
            raise Duplicate(kind="task", key=task.id)

    def get(self, task_id: str) -> Task:
        """See the contract."""
        get = _GET if self._session.read_only else self._session.dialect.locking(_GET)
        row = self._session.execute(get, {"id_": task_id}).first()
        if row is None:
            raise TaskNotFound(task_id=task_id)
        return rows.task(row)

    def find(self, query: TaskQuery) -> Sequence[Task]:
        """See the contract."""
        statement = _filtered(query)
        if query.marker is not None:
            marker = rows.task_values(self.get(query.marker))
            statement = _behind(statement, query, marker)
        keys = [key.desc() if query.descending else key.asc() for key in _keys(query)]
        found = self._session.execute(statement.order_by(*keys).limit(query.limit))
        return [rows.task(row) for row in found]

    def of_image(self, image_id: str) -> Sequence[Task]:
        """See the contract."""
        return [rows.task(row) for row in self._session.execute(_OF_IMAGE, {"image_": image_id})]

    def unfinished(self, type: TaskType, *, limit: int) -> Sequence[Task]:
        """See the contract."""
        found = self._session.execute(_UNFINISHED, {"type_": type.value, "limit": limit})
        return [rows.task(row) for row in found]

    def save(self, task: Task, *, expect_status: Collection[TaskStatus]) -> Task:
        """See the contract."""
        stored = self.get(task.id)
        if stored.status not in expect_status:
            raise Conflict(f"Task {task.id} is {stored.status} by now")
        saved = replace(
            stored,
            status=task.status,
            result=task.result,
            message=task.message,
            holder=task.holder,
            expires_at=task.expires_at,
            updated_at=datetime.now(UTC),
        )
        values = rows.task_values(saved)
        self._session.write(_SAVE, {"id_": task.id, **{name: values[name] for name in _SAVED}})
        return saved

    def prune(self, before: datetime, *, limit: int) -> Sequence[Task]:
        """See the contract."""
        expired = self._session.dialect.locking(_EXPIRED)
        asked = {"before": rows.to_time(before), "limit": limit}
        found = [rows.task(row) for row in self._session.execute(expired, asked)]
        if found:
            self._session.write(_REMOVE, {"ids": [task.id for task in found]})
        return found


def _filtered(query: TaskQuery) -> Select[Any]:
    statement = select(tasks)
    if query.type is not None:
        statement = statement.where(tasks.c.type == query.type.value)
    if query.status is not None:
        statement = statement.where(tasks.c.status == query.status.value)
    return statement


def _keys(query: TaskQuery) -> list[Column[Any]]:
    return [tasks.c[name] for name in dict.fromkeys((query.sort_key, "id"))]


def _behind(statement: Select[Any], query: TaskQuery, marker: dict[str, Any]) -> Select[Any]:
    keys = _keys(query)
    here, there = tuple_(*keys), tuple_(*(marker[key.name] for key in keys))
    return statement.where(here < there if query.descending else here > there)
