# SPDX-License-Identifier: Apache-2.0
"""Tasks: who is shown which, and when they are forgotten."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.errors import Forbidden, ImageNotFound, Invalid, TaskNotFound
from glancekit.core.model.identity import Identity
from glancekit.core.model.image import Image, now
from glancekit.core.model.task import Task, TaskQuery, TaskStatus, TaskType
from glancekit.services import legacy_tasks, tasks
from glancekit.services.world import World


def keep(world: World, owner: str, image: Image | None = None, **facts: object) -> Task:
    task = Task(
        id=str(uuid.uuid4()),
        type=TaskType.LOCATION_IMPORT,
        owner=owner,
        image_id=image.id if image else None,
        input={"loc_url": "x://secret", "validation_data": {}},
        **facts,
    )
    with world.metadata.unit_of_work() as work:
        work.tasks.add(task)
        work.commit()
    return task


def test_the_tasks_api_is_for_administrators(
    world: World, admin: Identity, member: Identity
) -> None:
    task = keep(world, "p1")
    assert tasks.show(world, admin, task.id) == task
    assert list(tasks.find(world, admin, TaskQuery())) == [task]
    with pytest.raises(TaskNotFound):
        tasks.show(world, admin, "nothing")
    with pytest.raises(Invalid):
        legacy_tasks.create(world, admin, TaskType.IMPORT, {})
    for attempt in (
        lambda: tasks.show(world, member, task.id),
        lambda: tasks.find(world, member, TaskQuery()),
        lambda: legacy_tasks.create(world, member, TaskType.IMPORT, {}),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_an_image_s_tasks_are_their_project_s(
    world: World, admin: Identity, member: Identity, stranger: Identity, active: Image
) -> None:
    mine, theirs = keep(world, "p1", active), keep(world, "p2", active)
    keep(world, "p1")
    assert tasks.of_image(world, admin, active.id) == [mine, theirs]
    without_places = replace(mine, input={"validation_data": {}})
    assert tasks.of_image(world, member, active.id) == [without_places]
    with pytest.raises(ImageNotFound):
        tasks.of_image(world, stranger, active.id)


def test_a_task_that_ended_is_forgotten_after_a_while(world: World, admin: Identity) -> None:
    running = keep(world, "p1")
    fresh = tasks.ended(keep(world, "p1"), TaskStatus.SUCCESS, hours=1)
    assert fresh.expires_at is not None
    assert fresh.expires_at - now() > timedelta(minutes=59)
    keep(world, "p1", expires_at=now() - timedelta(seconds=1))
    assert tasks.forget_expired(world) == 1
    assert running in tasks.find(world, admin, TaskQuery())
    assert tasks.forget_expired(world) == 0
