# SPDX-License-Identifier: Apache-2.0
"""The schema of a task and of a list of tasks."""

from __future__ import annotations

from glancekit.api.v2.schemas import UUID_PATTERN, Schema
from glancekit.core.model.task import TaskStatus, TaskType


def task_schema() -> Schema:
    """Return the schema of one task."""
    return {
        "name": "task",
        "properties": {
            "id": {
                "description": "An identifier for the task",
                "pattern": UUID_PATTERN,
                "type": "string",
            },
            "type": {
                "description": "The type of task represented by this content",
                "enum": [*TaskType],
                "type": "string",
            },
            "status": {
                "description": "The current status of this task",
                "enum": [*TaskStatus],
                "type": "string",
            },
            "input": {
                "description": "The parameters required by task, JSON blob",
                "type": ["null", "object"],
            },
            "result": {
                "description": "The result of current task, JSON blob",
                "type": ["null", "object"],
            },
            "owner": {
                "description": "An identifier for the owner of this task",
                "type": "string",
            },
            "message": {
                "description": "Human-readable informative message only included when appropriate "
                "(usually on failure)",
                "type": "string",
            },
            "image_id": {"description": "Image associated with the task", "type": "string"},
            "request_id": {
                "description": "Human-readable informative request-id",
                "type": "string",
            },
            "user_id": {"description": "User associated with the task", "type": "string"},
            "expires_at": {
                "description": "Datetime when this resource would be subject to removal",
                "type": ["null", "string"],
            },
            "created_at": {
                "description": "Datetime when this resource was created",
                "type": "string",
            },
            "updated_at": {
                "description": "Datetime when this resource was updated",
                "type": "string",
            },
            "progress": {
                "description": "How far a task is that has not ended: the step it is at, that "
                "step's bytes done and in all, bytes a second, seconds left, and how often the "
                "task was begun or gone on with",
                "type": "object",
                "properties": {
                    "step": {"type": "string"},
                    "bytes_done": {"type": "integer"},
                    "bytes_total": {"type": ["null", "integer"]},
                    "bytes_per_second": {"type": "integer"},
                    "seconds_left": {"type": ["null", "integer"]},
                    "tries": {"type": "integer"},
                },
            },
            "self": {"readOnly": True, "type": "string"},
            "schema": {"readOnly": True, "type": "string"},
        },
    }


def tasks_schema() -> Schema:
    """Return the schema of a list of tasks."""
    return {
        "name": "tasks",
        "properties": {
            "tasks": {"type": "array", "items": task_schema()},
            "schema": {"type": "string"},
            "next": {"type": "string"},
            "first": {"type": "string"},
        },
        "links": [
            {"rel": "next", "href": "{next}"},
            {"rel": "first", "href": "{first}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    }
