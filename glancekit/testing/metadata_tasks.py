# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata suite that is about tasks; ``MetadataConformance`` has it in it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from glancekit.core.errors import Conflict, Duplicate, TaskNotFound
from glancekit.core.model.task import TASK_SORT_KEYS, Task, TaskQuery, TaskStatus, TaskType
from glancekit.plugin import MetadataDriver
from glancekit.testing.metadata_samples import ME, MORNING


class TaskConformance:
    """What every metadata driver promises about tasks."""

    def test_m51_a_task_comes_back_as_it_was(self, driver: MetadataDriver) -> None:
        """M51: every attribute of a task is kept, and its id is given out once."""
        whole = Task(
            id=str(uuid.uuid4()),
            type=TaskType.LOCATION_IMPORT,
            status=TaskStatus.PROCESSING,
            owner=ME,
            image_id=str(uuid.uuid4()),
            user_id="u",
            request_id="req-1",
            input={"loc_url": "x://y", "validation_data": {"os_hash_value": "0"}},
            result={"size": 1},
            message="done so far",
            holder="h",
            created_at=MORNING,
            updated_at=MORNING,
            expires_at=MORNING,
        )
        bare = Task(id=str(uuid.uuid4()), type=TaskType.IMPORT)
        _keep(driver, whole, bare)
        with driver.unit_of_work() as work:
            assert work.tasks.get(whole.id) == whole
            assert work.tasks.get(bare.id) == bare
            with pytest.raises(Duplicate):
                work.tasks.add(whole)
        with driver.unit_of_work(read_only=True) as work, pytest.raises(TaskNotFound):
            work.tasks.get(str(uuid.uuid4()))

    def test_m52_a_task_is_saved_by_compare_and_set(self, driver: MetadataDriver) -> None:
        """M52: save goes by the expected status, and keeps what a task was made with."""
        made = _task(created_at=MORNING, updated_at=MORNING, input={"a": 1})
        _keep(driver, made)
        changed = replace(
            made,
            status=TaskStatus.SUCCESS,
            result={"b": 2},
            message="m",
            holder="h",
            expires_at=MORNING,
            input={},
            owner="nobody",
        )
        with driver.unit_of_work() as work:
            saved = work.tasks.save(changed, expect_status={TaskStatus.PENDING})
            work.commit()
        assert saved.updated_at > made.updated_at
        assert saved == replace(
            changed, input=made.input, owner=made.owner, updated_at=saved.updated_at
        )
        with driver.unit_of_work() as work:
            assert work.tasks.get(made.id) == saved
            with pytest.raises(Conflict):
                work.tasks.save(changed, expect_status={TaskStatus.PENDING})
            with pytest.raises(TaskNotFound):
                work.tasks.save(_task(), expect_status={TaskStatus.PENDING})

    @pytest.mark.parametrize("sort_key", TASK_SORT_KEYS)
    @pytest.mark.parametrize("descending", [True, False])
    def test_m53_pages_of_tasks(
        self, driver: MetadataDriver, sort_key: str, descending: bool
    ) -> None:
        """M53: pages follow one another in every order, ties by id, and none is left out."""
        tasks = [
            _task(
                type=list(TaskType)[number % 2],
                status=list(TaskStatus)[number % 3],
                created_at=MORNING + timedelta(seconds=number % 3),
                updated_at=MORNING + timedelta(seconds=number % 2),
            )
            for number in range(7)
        ]
        _keep(driver, *tasks)
        expected = sorted(
            tasks, key=lambda task: (getattr(task, sort_key), task.id), reverse=descending
        )
        found: list[Task] = []
        while page := _find(
            driver,
            limit=3,
            marker=found[-1].id if found else None,
            sort_key=sort_key,
            descending=descending,
        ):
            found += page
        assert found == expected
        wanted = {"type": TaskType.IMPORT, "status": TaskStatus.PENDING}
        assert {task.id for task in _find(driver, **wanted)} == {
            task.id for task in tasks if (task.type, task.status) == tuple(wanted.values())
        }
        assert _find(driver, limit=0) == []
        with pytest.raises(TaskNotFound):
            _find(driver, marker="nothing")

    def test_m54_tasks_of_an_image_and_those_to_go_on_with(self, driver: MetadataDriver) -> None:
        """M54: an image's tasks and all unfinished ones are told, the oldest first."""
        about = str(uuid.uuid4())
        tasks = [
            _task(status=status, image_id=about, created_at=MORNING - timedelta(seconds=number))
            for number, status in enumerate(TaskStatus)
        ]
        _keep(driver, *tasks, other := _task(created_at=MORNING))
        with driver.unit_of_work(read_only=True) as work:
            assert list(work.tasks.of_image(about)) == tasks[::-1]
            unfinished = list(work.tasks.unfinished(TaskType.IMPORT, limit=9))
            assert {task.id for task in unfinished} == {tasks[0].id, tasks[1].id, other.id}
            assert unfinished[0] == tasks[1]
            assert list(work.tasks.unfinished(TaskType.LOCATION_IMPORT, limit=9)) == []
            assert list(work.tasks.unfinished(TaskType.IMPORT, limit=1)) == [tasks[1]]

    def test_m55_expired_tasks_are_forgotten(self, driver: MetadataDriver) -> None:
        """M55: prune takes what expired before a moment, the oldest first, and nothing else."""
        ages = {"older": -2, "old": -1, "later": 2}
        kept = {
            name: _task(expires_at=MORNING + timedelta(seconds=age)) for name, age in ages.items()
        }
        never = _task()
        _keep(driver, *kept.values(), never)
        for expected in ([kept["older"].id], [kept["old"].id], []):
            with driver.unit_of_work() as work:
                taken = work.tasks.prune(MORNING + timedelta(seconds=1), limit=1)
                assert [task.id for task in taken] == expected
                work.commit()
        assert {task.id for task in _find(driver)} == {kept["later"].id, never.id}


def _task(**facts: Any) -> Task:
    return Task(**{"id": str(uuid.uuid4()), "type": TaskType.IMPORT, **facts})


def _keep(driver: MetadataDriver, *tasks: Task) -> None:
    with driver.unit_of_work() as work:
        for task in tasks:
            work.tasks.add(task)
        work.commit()


def _find(driver: MetadataDriver, **query: Any) -> list[Task]:
    with driver.unit_of_work(read_only=True) as work:
        return list(work.tasks.find(TaskQuery(**query)))
