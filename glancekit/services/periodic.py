# SPDX-License-Identifier: Apache-2.0
"""The periodic tasks of this process with all that runs them, and what operators may ask of them.

What a task does is its plugin's business; whether it is due, and which host has its turn, core's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.coordination import Coordination
from glancekit.core.election import FileElection
from glancekit.core.errors import Conflict, InUse, Invalid, NotFound
from glancekit.core.lease import Lease
from glancekit.core.ledger import Ledger
from glancekit.core.model.image import now
from glancekit.core.model.periodic import PeriodicState
from glancekit.core.periodic import Cluster, Doing, PeriodicRunner, PeriodicTask
from glancekit.core.periodic_options import PeriodicSettings
from glancekit.services.world import World

BEATS = 3
"""Signs of life in one lease of the cluster."""

ATTEMPTS = 10
"""Times that a state is changed anew which somebody else changed meanwhile."""


class PeriodicWork:
    """The tasks of all plugins, and what runs them here: alone, or in turns with other hosts."""

    def __init__(
        self,
        world: World,
        settings: PeriodicSettings,
        data_dir: Path,
        tasks: Sequence[PeriodicTask],
    ) -> None:
        self.tasks = tasks
        self._data_dir = data_dir
        self._own_lease: Lease | None = None
        self._cluster: Cluster | None = None
        lease = world.lease
        if settings.coordination is not None:
            lease = self._own_lease = Lease(
                world.metadata,
                lifetime=timedelta(seconds=settings.lease),
                renewal=settings.lease / BEATS,
            )
            self._cluster = Coordination(settings.coordination, settings.lease)
        self.ledger = Ledger(
            world.metadata,
            lease.holder,
            settings.host,
            shared=settings.coordination is not None,
        )
        self._runner = PeriodicRunner(
            self.tasks,
            FileElection(data_dir),
            ledger=self.ledger,
            cluster=self._cluster,
        )

    def task(self, name: str) -> PeriodicTask:
        """Return one by its name.

        :raises NotFound: when no plugin has it.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise NotFound(f"There is no periodic task '{name}'; see 'glancekit periodic list'")

    def start(self) -> None:
        """Begin to run them; returns at once."""
        if self._own_lease is not None:
            self._own_lease.start()
        self._runner.start()

    def stop(self, timeout: float) -> bool:
        """Start nothing more, and wait at most so many seconds for what is running; True when
        nothing is any more.

        What runs on keeps its lease: nobody else begins it while this process lives.
        """
        is_over = self._runner.stop(timeout)
        if is_over and self._own_lease is not None:
            self._own_lease.stop()
        return is_over

    def run_here(self, task: PeriodicTask) -> Doing | None:
        """Run one now, due and paused or not; None when another process of this host runs them.

        Not to be mixed with ``start``.

        :raises InUse: when it is being run.
        """
        with FileElection(self._data_dir) as election:
            if not election.won():
                return None
            if self._own_lease is not None:
                self._own_lease.start()
            try:
                return self._run_in_turn(task)
            finally:
                if self._own_lease is not None:
                    self._own_lease.stop()
                if self._cluster is not None:
                    self._cluster.close()

    def _run_in_turn(self, task: PeriodicTask) -> Doing:
        is_alone = task.everywhere or self._cluster is None
        turn = None if self._cluster is None or is_alone else self._cluster.take(task.name)
        if turn is None and not is_alone:
            raise InUse(
                f"Another host has the turn of '{task.name}', or nobody can tell; try again"
            )
        with turn or nullcontext():
            begun = self.ledger.begin(task, was_asked_for=True)
            if isinstance(begun, float):
                raise InUse(f"The periodic task '{task.name}' is running; try again when it ended")
            doing = Doing(task, self.ledger, begun)
            doing.run(lambda: turn is not None and turn.is_over())
            return doing


def explain(task: PeriodicTask) -> Iterable[str]:
    """Yield what a run would do now to which thing and why; nothing is done.

    :raises Invalid: when the task does not say.
    """
    if task.explain is None:
        raise Invalid(f"The periodic task '{task.name}' does not tell beforehand what it would do")
    return task.explain()


def pause(metadata: MetadataDriver, name: str, hosts: Iterable[str]) -> None:
    """Let a task rest on these hosts (the empty name: the service); a run that began goes on."""
    _change(metadata, name, hosts, lambda state: replace(state, is_paused=True))


def resume(metadata: MetadataDriver, name: str, hosts: Iterable[str]) -> None:
    """Let a task run again when it is due."""
    _change(metadata, name, hosts, lambda state: replace(state, is_paused=False))


def request(metadata: MetadataDriver, name: str, hosts: Iterable[str]) -> None:
    """Ask those who run the task to do so as soon as they look, paused or not."""
    _change(metadata, name, hosts, lambda state: replace(state, requested_at=now()))


def _change(
    metadata: MetadataDriver,
    name: str,
    hosts: Iterable[str],
    change: Callable[[PeriodicState], PeriodicState],
) -> None:
    for host in hosts:
        _change_one(metadata, (name, host), change)


def _change_one(
    metadata: MetadataDriver,
    key: tuple[str, str],
    change: Callable[[PeriodicState], PeriodicState],
) -> None:
    for attempt in range(ATTEMPTS):
        try:
            with metadata.unit_of_work() as work:
                work.periodic.save(change(work.periodic.get(*key)))
                work.commit()
            return
        except Conflict:
            if attempt == ATTEMPTS - 1:
                raise
