# SPDX-License-Identifier: Apache-2.0
"""``glancekit task``: imports and other long work, straight from the records.

For the operator on the service's host; what clients may do is the API's business.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import format_option, show
from glancekit.core.model.task import UNFINISHED, Task, TaskQuery, TaskState, TaskStatus, TaskType

if TYPE_CHECKING:
    from glancekit.core.contracts.metadata import MetadataDriver

_STATUSES = [status.value for status in TaskStatus]
_TYPES = [kind.value for kind in TaskType]

_ROW = ("id", "type", "status", "image", "project", "step", "done", "created_at", "message")
_WHOLE = (
    *("id", "type", "status", "image", "project", "user", "request", "method", "stores", "step"),
    *("bytes_done", "bytes_total", "bytes_per_second", "seconds_left", "tries", "worker"),
    *("created_at", "updated_at", "expires_at", "message"),
)


@click.group()
def task() -> None:
    """Show imports and other long work; cancel it, try it again."""


@task.command("list")
@click.option("--status", type=click.Choice(_STATUSES), help="Those in this status alone.")
@click.option("--type", "kind", type=click.Choice(_TYPES), help="Those of this type alone.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@format_option
@click.pass_obj
def list_tasks(
    invocation: Invocation, status: str | None, kind: str | None, limit: int, shape: Any
) -> None:
    """List tasks, the newest first."""
    query = TaskQuery(
        limit=limit,
        status=None if status is None else TaskStatus(status),
        type=None if kind is None else TaskType(kind),
    )
    with _records(invocation) as metadata, metadata.unit_of_work(read_only=True) as work:
        found = work.tasks.find(query)
    show(_ROW, [_row(one) for one in found], shape)


@task.command("show")
@click.argument("task_id")
@format_option
@click.pass_obj
def show_task(invocation: Invocation, task_id: str, shape: Any) -> None:
    """Show one task, with the step it is at, how far, and how fast."""
    with _records(invocation) as metadata, metadata.unit_of_work(read_only=True) as work:
        found = work.tasks.get(task_id)
    show(_WHOLE, [_whole(found)], shape)


@task.command()
@click.argument("task_id")
@click.pass_obj
def cancel(invocation: Invocation, task_id: str) -> None:
    """End an import; the worker that is at it undoes what was done.

    The image is free again once that has happened, which takes a worker.
    """
    from glancekit.bootstrap import bootstrap
    from glancekit.services import imports

    with bootstrap(invocation.load_config()) as world:
        imports.cancel(world, task_id)
    click.echo(f"Task {task_id} is cancelled.")


@task.command()
@click.argument("task_id")
@click.pass_obj
def retry(invocation: Invocation, task_id: str) -> None:
    """Begin an import anew that failed, and print the new task's id."""
    from glancekit.bootstrap import bootstrap
    from glancekit.services import imports

    with bootstrap(invocation.load_config()) as world:
        again = imports.retry(world, task_id)
    click.echo(again.id)


def _row(task: Task) -> dict[str, Any]:
    state = TaskState.of(task)
    done = f"{100 * state.done // state.total} %" if state.total else None
    return {
        "id": task.id,
        "type": task.type.value,
        "status": task.status.value,
        "image": task.image_id,
        "project": task.owner,
        "step": state.step or None,
        "done": done if task.status in UNFINISHED else None,
        "created_at": task.created_at,
        "message": task.message,
    }


def _whole(task: Task) -> dict[str, Any]:
    state = TaskState.of(task)
    request = task.input.get("import_req", {})
    return {
        **_row(task),
        "user": task.user_id,
        "request": task.request_id,
        "method": request.get("method", {}).get("name"),
        "stores": task.input.get("backend", []),
        "bytes_done": state.done,
        "bytes_total": state.total,
        "bytes_per_second": state.rate,
        "seconds_left": state.seconds_left,
        "tries": state.tries,
        "worker": task.holder,
        "updated_at": task.updated_at,
        "expires_at": task.expires_at,
    }


@contextmanager
def _records(invocation: Invocation) -> Iterator[MetadataDriver]:
    from glancekit.bootstrap.parts import load_metadata

    metadata = load_metadata(invocation.load_config())
    try:
        metadata.start()
        yield metadata
    finally:
        metadata.close()
