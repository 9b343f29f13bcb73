# SPDX-License-Identifier: Apache-2.0
"""What the reaper tells beforehand is what it does then."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import LocationStatus
from glancekit.core.model.task import Task, TaskStatus, TaskType
from glancekit.core.turns import TurnOver, turn_that_ends
from glancekit.services import tasks
from glancekit.services.importing.records import LOCK
from glancekit.services.recovery import (
    BATCH,
    clear_staging,
    explain,
    explain_staging,
    recover,
)
from glancekit.services.staging import Staging
from glancekit.services.tasks import explain_forgetting, forget_expired
from glancekit.services.world import World

GONE = "far.0/1/gone"


def keep(world: World, *rows: Location) -> None:
    with world.metadata.unit_of_work() as work:
        for row in rows:
            work.locations.add(row)
        work.commit()


def left(world: World, image_id: str) -> Sequence[str]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return [row.store for row in work.locations.of_image(image_id)]


def writing(image: Image, store: str, holder: str | None) -> Location:
    return Location(
        url="", store=store, image_id=image.id, status=LocationStatus.WRITING, holder=holder
    )


def test_what_a_living_process_writes_stays_and_what_a_dead_one_wrote_goes(
    world: World, queued: Image
) -> None:
    alive, dead = (
        writing(queued, "fast", world.lease.holder),
        writing(queued, "slow", GONE),
    )
    keep(world, alive, dead)
    assert list(explain(world)) == [
        f"image {queued.id} in store fast, writing: stays; {world.lease.holder} is at it",
        f"image {queued.id} in store slow, writing: what was written goes; {GONE} is gone",
    ]
    assert recover(world) == 1
    assert left(world, queued.id) == ["fast"]


def test_what_was_decided_to_go_goes(world: World, active: Image) -> None:
    (row,) = active.locations
    with world.metadata.unit_of_work() as work:
        condemned = replace(row, status=LocationStatus.PENDING_DELETE, holder=None)
        work.locations.save(condemned, expect_status=LocationStatus.ACTIVE)
        work.commit()
    (sentence,) = explain(world)
    assert sentence.endswith("pending_delete: the data goes, as was decided; nobody is at it")
    assert left(world, active.id) == ["fast"]


def test_what_an_import_goes_on_with_stays(world: World, queued: Image) -> None:
    keep(world, writing(queued, "fast", GONE))
    with world.metadata.unit_of_work() as work:
        image = work.images.get(queued.id)
        locked = replace(image, properties={LOCK: "task"})
        work.images.save(locked, expect_status={image.status})
        work.commit()
    (sentence,) = explain(world)
    assert sentence.endswith("stays; whoever goes on with its import sees to it")
    assert recover(world) == 0


def test_a_turn_that_is_over_ends_it_between_two(world: World, queued: Image) -> None:
    keep(world, writing(queued, "fast", GONE), writing(queued, "slow", GONE))
    asked: list[int] = []

    def is_over() -> bool:
        asked.append(1)
        return len(asked) > 1

    with turn_that_ends(is_over), pytest.raises(TurnOver):
        recover(world)
    assert left(world, queued.id) == ["slow"]
    assert recover(world) == 1


def test_what_is_staged_for_nobody_goes(world: World, queued: Image) -> None:
    Staging(world.staging).of(queued.id).mkdir(parents=True)
    (sentence,) = explain_staging(world)
    assert sentence == f"image {queued.id}: what is staged goes; no record wants it"
    assert clear_staging(world) == 1
    assert list(explain_staging(world)) == []


def test_of_what_is_staged_for_nobody_a_hundred_go_in_a_round(world: World) -> None:
    for number in range(BATCH + 5):
        Staging(world.staging).of(str(uuid.UUID(int=number))).mkdir(parents=True)
    told = list(explain_staging(world))
    assert [line.count("goes in a later round") for line in told] == [0] * BATCH + [1] * 5
    assert [clear_staging(world) for _ in range(3)] == [BATCH, 5, 0]


def test_a_turn_that_is_over_ends_the_clearing_of_staged_data(world: World) -> None:
    Staging(world.staging).of(str(uuid.UUID(int=1))).mkdir(parents=True)
    with turn_that_ends(lambda: True), pytest.raises(TurnOver):
        clear_staging(world)
    assert clear_staging(world) == 1


def test_which_tasks_are_forgotten_and_why(
    world: World, queued: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "PAGE", 2)
    day = timedelta(days=1)
    states = {
        "runs": (TaskStatus.PROCESSING, None),
        "old": (TaskStatus.SUCCESS, now() - day),
        "new": (TaskStatus.FAILURE, now() + day),
        "kept": (TaskStatus.FAILURE, None),
    }
    with world.metadata.unit_of_work() as work:
        for name, (status, until) in states.items():
            work.tasks.add(
                Task(id=name, type=TaskType.IMPORT, image_id=queued.id, status=status,
                     expires_at=until)
            )  # fmt: skip
        work.commit()
    told = {line.split()[1]: line for line in explain_forgetting(world)}
    assert told.keys() == states.keys()
    assert "stays; it has not ended" in told["runs"]
    assert "is forgotten; it expired at" in told["old"]
    assert "stays until" in told["new"]
    assert "stays; it does not expire" in told["kept"]
    assert f"(import of image {queued.id}, success)" in told["old"]
    assert forget_expired(world) == 1
    assert {line.split()[1] for line in explain_forgetting(world)} == states.keys() - {"old"}
