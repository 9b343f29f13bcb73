# SPDX-License-Identifier: Apache-2.0
"""The periodic task ``old``: it writes every so often how many images each project has. When it
is its turn, on which host, is the service's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from glancekit.plugin import (
    FloatOpt,
    MetadataDriver,
    PeriodicTask,
    StrOpt,
    hookimpl,
    require_turn,
)


class OldTask:
    """A plugin with one task."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "old"
    options: ClassVar[Sequence[Any]] = (
        StrOpt("old_file", default="$data_dir/old.json", help="Where it is written."),
        FloatOpt("old_interval", default=300.0, min=1.0, help="Seconds between two runs."),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._file = Path(options.old_file)
        self._interval: float = options.old_interval

    @hookimpl
    def register_periodic_tasks(self, world: Any) -> list[PeriodicTask]:
        """Offer the task; nothing is done yet."""
        return [
            PeriodicTask(
                name=self.name,
                interval=self._interval,
                run=partial(self.run, world.metadata),
                explain=partial(self.explain, world.metadata),
            )
        ]

    def run(self, metadata: MetadataDriver) -> str:
        """Write the file, in one step: the task may be killed at any line."""
        counts = dict(_counted(metadata))
        unfinished = self._file.with_name(f"{self._file.name}.new")
        unfinished.write_text(json.dumps(counts), encoding="utf-8")
        unfinished.replace(self._file)
        return f"{len(counts)} projects"

    def explain(self, metadata: MetadataDriver) -> Iterator[str]:
        """Say what a run would write, and write nothing."""
        for project, count in _counted(metadata):
            yield f"{project} has {count} images"


def _counted(metadata: MetadataDriver) -> Iterator[tuple[str, int]]:
    with metadata.unit_of_work(read_only=True) as work:
        for project in work.quotas.projects():
            require_turn()  # another host goes on where this one has lost its turn
            yield project, work.quotas.usage(project).images
