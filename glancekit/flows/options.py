# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about flows: the section ``[taskflow]``, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from oslo_config import cfg

from glancekit.core.errors import ConfigError

SECTION = "taskflow"

BOARDS = ("redis", "etcd", "zookeeper")
RECORDS = ("postgresql", "mysql")

FLOW_OPTIONS: list[cfg.Opt] = [
    cfg.StrOpt(
        "jobboard",
        secret=True,
        sample_default="a folder of data_dir",
        help="Where imports wait for a worker: redis://host:6379, etcd://host:2379 or "
        "zookeeper://host:2181,host:2181. Default: a folder, which serves one machine.",
    ),
    cfg.StrOpt(
        "persistence",
        secret=True,
        sample_default="a file of data_dir",
        help="Where it is kept how far imports are: postgresql://user:password@host/database or "
        "mysql://user:password@host/database. Default: an SQLite file, which serves one machine.",
    ),
    cfg.IntOpt(
        "max_workers",
        default=4,
        min=1,
        max=256,
        help="Imports that one worker process does at a time.",
    ),
    cfg.IntOpt(
        "max_tries",
        default=5,
        min=1,
        help="How often an import is begun or gone on with before it counts as one that kills "
        "its workers, and fails.",
    ),
    cfg.IntOpt(
        "stall_time",
        default=3600,
        min=1,
        help="Seconds after which an import fails whose method brings no byte, or whose step "
        "neither ends nor tells of progress.",
    ),
    cfg.BoolOpt(
        "worker_in_serve",
        default=True,
        help="Let the service run a worker of its own, in a process beside those that answer. "
        "When false, imports need 'glancekit worker'.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSettings:
    """``[taskflow]``, checked. ``folder`` is where the embedded board and records are."""

    folder: Path
    jobboard: str | None = None
    persistence: str | None = None
    max_workers: int = 4

    @classmethod
    def of(cls, options: Any, data_dir: Path) -> Self:
        """Make them of the values of the section.

        :raises ConfigError: when they are of no kind that there is, or do not go together.
        """
        _require_scheme("jobboard", options.jobboard, BOARDS)
        _require_scheme("persistence", options.persistence, RECORDS)
        if options.jobboard and not options.persistence:
            raise ConfigError(
                f"[{SECTION}] jobboard serves several machines, so [{SECTION}] persistence "
                "has to, too: set it to a database that all of them reach",
                section=SECTION,
                option="persistence",
            )
        return cls(
            folder=data_dir / "flows",
            jobboard=options.jobboard,
            persistence=options.persistence,
            max_workers=options.max_workers,
        )


def _require_scheme(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is None or urlsplit(value).scheme.partition("+")[0] in known:
        return
    raise ConfigError(
        f"[{SECTION}] {option} is no URL of {', '.join(f'{scheme}://' for scheme in known)}",
        section=SECTION,
        option=option,
    )
