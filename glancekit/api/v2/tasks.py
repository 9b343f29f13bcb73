# SPDX-License-Identifier: Apache-2.0
"""``/v2/tasks`` and ``/v2/images/{id}/tasks``: work that outlives its request, as clients see it.

Doing it is the services' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from flask import Response, request
from werkzeug.exceptions import BadRequest

from glancekit.api.auth import caller
from glancekit.api.body import json_object
from glancekit.api.paging import first_link, next_link, page_limit, parse_query
from glancekit.api.replies import json_reply
from glancekit.api.v2.schemas import UUID_PATTERN
from glancekit.core.errors import TaskNotFound
from glancekit.core.model.image import without_credentials
from glancekit.core.model.task import (
    TASK_SORT_KEYS,
    UNFINISHED,
    Task,
    TaskQuery,
    TaskState,
    TaskStatus,
    TaskType,
)
from glancekit.services import legacy_tasks, tasks
from glancekit.services.world import World

_PATH = "/v2/tasks"
_UUID = re.compile(UUID_PATTERN)

_Choice = TypeVar("_Choice", bound=StrEnum)


class Tasks:
    """Tasks, all of them or those of an image."""

    def __init__(self, world: World) -> None:
        self._world = world

    def index(self) -> Response:
        """Answer ``GET /v2/tasks``."""
        params = parse_query(request.environ.get("QUERY_STRING", ""))
        query = self._query(dict(params))
        try:
            found = tasks.find(self._world, caller(), query)
        except TaskNotFound as error:
            raise BadRequest(f"The marker {query.marker!r} is no task.") from error
        content: dict[str, Any] = {
            "tasks": [_summary(task) for task in found],
            "first": first_link(_PATH, params),
            "schema": "/v2/schemas/tasks",
        }
        if found and len(found) == query.limit:
            content["next"] = next_link(_PATH, params, found[-1].id)
        return json_reply(content)

    def create(self) -> Response:
        """Answer ``POST /v2/tasks``."""
        given = json_object()
        kind = _one_of("type", TaskType, given.get("type"))
        if kind is None or not isinstance(given.get("input"), dict):
            raise BadRequest("A task needs a 'type', and an 'input', which is an object.")
        task = legacy_tasks.create(self._world, caller(), kind, given["input"])
        return json_reply(_whole(task), status=201, headers={"Location": f"{_PATH}/{task.id}"})

    def show(self, task_id: str) -> Response:
        """Answer ``GET /v2/tasks/{id}``."""
        return json_reply(_whole(tasks.show(self._world, caller(), task_id)))

    def of_image(self, image_id: str) -> Response:
        """Answer ``GET /v2/images/{id}/tasks``."""
        found = tasks.of_image(self._world, caller(), image_id)
        return json_reply({"tasks": [_row(task) for task in found]})

    def _query(self, params: dict[str, str]) -> TaskQuery:
        sort_key = params.get("sort_key", "created_at")
        if sort_key not in TASK_SORT_KEYS:
            raise BadRequest(
                f"Cannot sort by '{sort_key[:40]}'; there are {', '.join(TASK_SORT_KEYS)}."
            )
        sort_dir = params.get("sort_dir", "desc")
        if sort_dir not in ("asc", "desc"):
            raise BadRequest(f"A sort direction is asc or desc, not '{sort_dir[:40]}'.")
        marker = params.get("marker")
        if marker is not None and not _UUID.match(marker):
            raise BadRequest("A marker is the id of a task.")
        return TaskQuery(
            limit=page_limit(
                params.get("limit"),
                default=self._world.settings.limit_param_default,
                maximum=self._world.settings.api_limit_max,
            ),
            marker=marker,
            sort_key=sort_key,
            descending=sort_dir == "desc",
            type=_one_of("type", TaskType, params.get("type")),
            status=_one_of("status", TaskStatus, params.get("status")),
        )


def _one_of(name: str, kind: type[_Choice], text: object) -> _Choice | None:
    if text is None:
        return None
    try:
        return kind(str(text))
    except ValueError:
        known = ", ".join(kind)
        raise BadRequest(f"'{name}' is one of {known}.") from None


def _summary(task: Task) -> dict[str, Any]:
    shown = {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "self": f"{_PATH}/{task.id}",
        "schema": "/v2/schemas/task",
    }
    return shown if task.expires_at is None else {**shown, "expires_at": task.expires_at}


def _whole(task: Task) -> dict[str, Any]:
    return {
        **_summary(task),
        "input": _shown_input(task),
        "result": _shown_result(task),
        "message": task.message,
        "image_id": task.image_id,
        "request_id": task.request_id,
        "user_id": task.user_id,
        **_progress(task),
    }


def _row(task: Task) -> dict[str, Any]:
    """Return a task as this one route shows it: like a row, its times to the microsecond."""
    return {
        "id": task.id,
        "type": task.type,
        "status": task.status,
        "owner": task.owner,
        "expires_at": _time(task.expires_at),
        "created_at": _time(task.created_at),
        "updated_at": _time(task.updated_at),
        "deleted_at": None,
        "deleted": False,
        "image_id": task.image_id,
        "request_id": task.request_id,
        "user_id": task.user_id,
        "input": _shown_input(task),
        "result": _shown_result(task),
        "message": task.message,
        **_progress(task),
    }


def _shown_input(task: Task) -> Mapping[str, Any]:
    """Return what was asked for, without credentials in its URLs."""
    return {name: _without_secrets(value) for name, value in task.input.items() if name != "roles"}


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_secrets(inner) for name, inner in value.items()}
    return without_credentials(value) if isinstance(value, str) else value


def _shown_result(task: Task) -> Mapping[str, Any] | None:
    return None if task.status in UNFINISHED else task.result


def _progress(task: Task) -> dict[str, Any]:
    """Return how far a task is that has not ended."""
    if task.status not in UNFINISHED or task.result is None:
        return {}
    state = TaskState.of(task)
    return {
        "progress": {
            "step": state.step,
            "bytes_done": state.done,
            "bytes_total": state.total,
            "bytes_per_second": state.rate,
            "seconds_left": state.seconds_left,
            "tries": state.tries,
        }
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=None).isoformat(timespec="microseconds")
