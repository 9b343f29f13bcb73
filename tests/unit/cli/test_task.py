# SPDX-License-Identifier: Apache-2.0
"""``glancekit task``: what is there, how far it is, ending it and trying it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.model.image import Image
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskState, TaskStatus, TaskType

REQUEST = {"method": {"name": "glance-direct"}, "all_stores_must_succeed": True}
GIVEN = {"image_id": "1", "import_req": REQUEST, "backend": ["local"], "roles": ["member"]}
TASK = Task(
    id="53b19764-d85a-4729-a766-5abe12732ec8",
    type=TaskType.API_IMAGE_IMPORT,
    status=TaskStatus.PROCESSING,
    owner="p",
    image_id="1",
    input=GIVEN,
    result=TaskState(step="fetch", done=30, total=120, rate=10, tries=2).as_result(),
)


@pytest.fixture
def importing(config_file: Path) -> None:
    """An image that is being imported by a task that nobody is at."""
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    held = {"os_glance_import_task": TASK.id, "os_glance_importing_to_stores": "local"}
    image = Image(
        id="1",
        owner="p",
        status=ImageStatus.IMPORTING,
        disk_format="raw",
        container_format="bare",
        properties=held,
    )
    with metadata.unit_of_work() as work:
        work.images.add(image)
        work.tasks.add(TASK)
        work.commit()
    metadata.close()


def image_of(config_file: Path) -> Image:
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work(read_only=True) as work:
        found = work.images.get("1")
    metadata.close()
    return found


def rows(outcome: Any) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = json.loads(outcome.out)
    return found


@pytest.mark.usefixtures("importing")
def test_tasks_are_listed_and_shown(run: Callable[..., Any]) -> None:
    (row,) = rows(run("task", "list", "-f", "json"))
    assert (row["id"], row["step"], row["done"], row["project"]) == (TASK.id, "fetch", "25 %", "p")
    assert rows(run("task", "list", "--status", "success", "-f", "json")) == []
    assert rows(run("task", "list", "--type", "import", "-f", "json")) == []
    (whole,) = rows(run("task", "show", TASK.id, "-f", "json"))
    assert (whole["method"], whole["stores"]) == ("glance-direct", ["local"])
    assert (whole["bytes_done"], whole["bytes_total"], whole["tries"]) == (30, 120, 2)
    assert (whole["bytes_per_second"], whole["seconds_left"]) == (10, 9)
    unknown = run("task", "show", "x")
    assert (unknown.code, unknown.err) == (1, "glancekit: There is no task x\n")


@pytest.mark.usefixtures("importing")
def test_cancel_frees_the_image(run: Callable[..., Any], config_file: Path) -> None:
    assert run("task", "cancel", TASK.id).code == 0
    image = image_of(config_file)
    assert image.status is ImageStatus.QUEUED
    assert "os_glance_import_task" not in image.properties
    assert image.properties["os_glance_failed_import"] == "local"
    (row,) = rows(run("task", "list", "-f", "json"))
    assert (row["status"], row["message"]) == (
        "failure",
        "The import was cancelled by an operator",
    )
    assert run("task", "cancel", TASK.id).code == 1


@pytest.mark.usefixtures("importing")
def test_retry_is_for_what_failed(run: Callable[..., Any], config_file: Path) -> None:
    assert "no import that failed" in run("task", "retry", TASK.id).err
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work() as work:
        failed = replace(TASK, status=TaskStatus.FAILURE, result=None)
        work.tasks.save(failed, expect_status=UNFINISHED)
        image = work.images.get("1")
        staged = replace(image, status=ImageStatus.QUEUED, properties={})
        image = work.images.save(staged, expect_status={ImageStatus.IMPORTING})
        uploading = replace(image, status=ImageStatus.UPLOADING)
        work.images.save(uploading, expect_status={ImageStatus.QUEUED})
        work.commit()
    metadata.close()
    outcome = run("task", "retry", TASK.id)
    assert outcome.code == 0, outcome.err
    assert image_of(config_file).properties["os_glance_import_task"] == outcome.out.strip()
    found = rows(run("task", "list", "-f", "json"))
    assert [row["status"] for row in found] == ["pending", "failure"]
