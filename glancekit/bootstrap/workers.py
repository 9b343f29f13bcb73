# SPDX-License-Identifier: Apache-2.0
"""What works beside the requests of a world: periodic tasks and the worker, not started.

What they do is the business of ``services`` and ``flows``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from glancekit.bootstrap.settings import flow_settings
from glancekit.core.config import Configuration
from glancekit.core.election import FileElection
from glancekit.core.periodic import PeriodicRunner, PeriodicTask
from glancekit.core.periodic_options import SECTION as PERIODIC_SECTION
from glancekit.core.periodic_options import PeriodicSettings
from glancekit.flows.options import SECTION as FLOW_SECTION
from glancekit.services.importing.records import imports_wait
from glancekit.services.periodic import PeriodicWork
from glancekit.services.world import World
from glancekit.serving.companion import Companion, python

if TYPE_CHECKING:
    from glancekit.flows.engine import Worker

IMPORTS_LOOK = 0.5
"""Seconds between looks for imports, while no worker runs."""


def periodic_work(world: World, config: Configuration) -> PeriodicWork:
    """Return what runs the periodic tasks of this host, not started.

    :raises ConfigError: when ``[periodic]`` makes no sense.
    """
    settings = PeriodicSettings.of(config.section(PERIODIC_SECTION))
    tasks = world.hooks.register_periodic_tasks(world)
    return PeriodicWork(world, settings, config.data_dir, tasks)


def companion_runner(world: World, config: Configuration, companion: Companion) -> PeriodicRunner:
    """Return what starts this host's worker beside the service when imports wait for one."""
    task = PeriodicTask(
        name="import worker",
        interval=IMPORTS_LOOK,
        run=lambda: companion.ensure() if imports_wait(world) else None,
        everywhere=True,
    )
    tasks = [task] if config.get(FLOW_SECTION, "worker_in_serve") else []
    return PeriodicRunner(tasks, FileElection(config.data_dir, "import worker"))


def import_worker(world: World, config: Configuration) -> Worker:
    """Return what runs imports, not started."""
    from glancekit.flows.engine import Worker
    from glancekit.services.importing.work import Work

    options = config.section(FLOW_SECTION)
    work = Work(world, max_tries=options.max_tries, stall_time=options.stall_time)
    return Worker(flow_settings(config), work, holder=world.lease.holder)


def import_companion(config: Configuration) -> Companion:
    """Return the process beside the service that runs imports, not started."""
    files = [word for file in config.files for word in ("--config-file", str(file))]
    command = [python(), "-m", "glancekit.cli", *files, "worker", "--attached"]
    return Companion(command, {**os.environ, **config.as_environment})
