# SPDX-License-Identifier: Apache-2.0
"""The transactions of an import, which wait for a database that is away.

Giving up would undo an import for want of a database that its undoing needs as much. What goes
into a transaction is its users' business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import MetadataUnavailable
from glancekit.core.model.task import TaskState
from glancekit.flows.ports import Job
from glancekit.services.importing import records
from glancekit.services.importing.pulse import Beat
from glancekit.services.world import World

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_PAUSE = 5.0
"""Seconds between attempts to reach a database that is away."""


def patiently(world: World, deed: Callable[[UnitOfWork], T]) -> T:
    """Do something in a transaction, and again as long as the database is away."""

    def once() -> T:
        with world.metadata.unit_of_work() as work:
            found = deed(work)
            work.commit()
        return found

    return _again(once)


def look(world: World, question: Callable[[UnitOfWork], T]) -> T:
    """Ask something of the records, and again as long as the database is away."""

    def once() -> T:
        with world.metadata.unit_of_work(read_only=True) as work:
            return question(work)

    return _again(once)


def require_mine(world: World, job: Job) -> None:
    """Insist that this process is at an import.

    :raises Conflict: when it is not, or not any more.
    """
    look(world, lambda work: records.mine(world, work, job))


def beat(world: World, job: Job) -> Beat:
    """Return what writes down how far an import is.

    It raises ``Conflict`` when this process is not at it any more.
    """

    def beat_once(state: TaskState) -> None:
        def write(work: UnitOfWork) -> None:
            _, task = records.mine(world, work, job)
            kept = replace(state, tries=TaskState.of(task).tries)
            work.tasks.save(replace(task, result=kept.as_result()), expect_status={task.status})

        patiently(world, write)

    return beat_once


def _again(once: Callable[[], T]) -> T:
    pause = 0.1
    while True:
        try:
            return once()
        except MetadataUnavailable as error:
            log.warning("an import waits for the database: %s", error)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
