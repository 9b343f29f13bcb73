# SPDX-License-Identifier: Apache-2.0
"""The jobboard and the records of flows that the operator chose. What is done there: engine.py."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from taskflow import states
from taskflow.exceptions import JobFailure, NotFound

from glancekit.flows.file_board import FileJobBoard
from glancekit.flows.options import FlowSettings

NAME = "glancekit"
"""Of the board: a path or prefix in Redis, etcd and ZooKeeper."""

LEFT_ALONE = 5.0
"""Seconds for which a job is not tried again that another worker has to do."""

_BUSY = 30
"""Seconds that SQLite waits for another process's write."""


class InTurn:
    """A board that offers jobs in a fair order: least running of a project first, then oldest."""

    _until: dict[str, float]

    def iterjobs(self, only_unclaimed: bool = False, ensure_fresh: bool = False) -> Iterator[Any]:
        """Return jobs that wait; each counts as running once it was returned."""
        waiting, running = [], Counter[str]()
        for job in self.every_job(ensure_fresh=ensure_fresh):
            state = _state_of(job)
            if state == states.CLAIMED:
                running[project_of(job)] += 1
            elif state == states.UNCLAIMED and self._until.get(job.uuid, 0) < time.monotonic():
                waiting.append(job)
        while waiting:
            job = min(waiting, key=lambda one: (running[project_of(one)], one.created_on))
            waiting.remove(job)
            running[project_of(job)] += 1
            yield job

    def every_job(self, *, ensure_fresh: bool = True) -> Iterator[Any]:
        """Return all jobs, claimed or not."""
        found: Iterator[Any] = super().iterjobs(  # type: ignore[misc]
            ensure_fresh=ensure_fresh
        )
        return found

    def leave_alone(self, job: Any) -> None:
        """Do not offer a job for a while."""
        now = time.monotonic()
        self._until = {name: until for name, until in self._until.items() if until > now}
        self._until[job.uuid] = now + LEFT_ALONE


def project_of(job: Any) -> str:
    """Return whose turn a job counts for."""
    return str(job.details.get("project", ""))


def _state_of(job: Any) -> str:
    try:
        return str(job.state)
    except (JobFailure, NotFound):
        return str(states.COMPLETE)


def open_records(settings: FlowSettings) -> Any:
    """Return TaskFlow's persistence, ready for use."""
    from taskflow.persistence import backends

    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    conf: dict[str, Any] = {"connection": _database(settings), "max_retries": 3}
    if settings.persistence is None:
        conf["engine_args"] = {"connect_args": {"timeout": _BUSY}}
    with _of_taskflow():
        records = backends.fetch(conf)
        with contextlib.closing(records.get_connection()) as connection:
            connection.upgrade()
    return records


def _database(settings: FlowSettings) -> str:
    if settings.persistence is None:
        return f"sqlite:///{settings.folder / 'flows.sqlite'}"
    scheme, _, rest = settings.persistence.partition("://")
    drivers = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    return f"{drivers.get(scheme, scheme)}://{rest}"


def open_board(settings: FlowSettings, records: Any) -> Any:
    """Return the jobboard, connected."""
    kind, conf = _board(settings)
    with _of_taskflow():
        if kind is FileJobBoard:
            board = _in_turn(kind)(NAME, settings.folder / "jobs", records)
        else:
            board = _in_turn(kind)(NAME, conf, persistence=records)
        board._until = {}
        board.connect()
    return board


def _in_turn(kind: type[Any]) -> Any:
    return type(f"{kind.__name__}InTurn", (InTurn, kind), {})


def _board(settings: FlowSettings) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of the board, and its configuration in TaskFlow's words."""
    if settings.jobboard is None:
        return FileJobBoard, {}
    url = urlsplit(settings.jobboard)
    more = dict(parse_qsl(url.query))
    if url.scheme == "zookeeper":
        from taskflow.jobs.backends.impl_zookeeper import ZookeeperJobBoard

        return ZookeeperJobBoard, {"hosts": url.netloc, "path": f"/{NAME}/jobs", **more}
    port = {"port": url.port} if url.port else {}
    common = {"host": url.hostname, **port, **more}
    if url.scheme == "etcd":
        from taskflow.jobs.backends.impl_etcd import EtcdJobBoard

        return EtcdJobBoard, {"path": f"/{NAME}/jobs", **common}
    from taskflow.jobs.backends.impl_redis import RedisJobBoard

    signs = {"username": url.username, "password": url.password}
    given = {name: value for name, value in signs.items() if value}
    return RedisJobBoard, {"namespace": NAME, **common, **given}


@contextlib.contextmanager
def _of_taskflow() -> Iterator[None]:
    """Keep from operators what TaskFlow's libraries tell one another about their own futures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
