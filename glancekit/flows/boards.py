# SPDX-License-Identifier: Apache-2.0
"""The jobboard and the records of flows that the operator chose. What is done there: engine.py."""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from taskflow import states
from taskflow.exceptions import JobFailure, NotFound, StorageFailure

from glancekit.flows.file_board import FileJobBoard
from glancekit.flows.options import FlowSettings

NAME = "glancekit"
"""Of the board: a path or prefix in Redis, etcd and ZooKeeper."""

LEFT_ALONE = 5.0
"""Seconds for which a job is not tried again that another worker has to do."""

_TRIES = 5

_alembic = threading.Lock()
"""alembic keeps what it is at in globals, so that two threads of a process trip each other up."""

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

    def register_entity(self, _entity: Any) -> None:
        """Nothing to do: who works is known by leases, whose names ZooKeeper takes for paths."""

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


def owner_of(job: Any) -> str | None:
    """Return who has claimed a job, None where nobody has or the board cannot tell."""
    if _state_of(job) != states.CLAIMED:
        return None
    try:
        return job.board.find_owner(job) or None
    except (JobFailure, NotFound, TypeError):
        return None  # given back meanwhile, of which Redis's board makes a TypeError


def _state_of(job: Any) -> str:
    try:
        return str(job.state)
    except (JobFailure, NotFound):
        return str(states.COMPLETE)


def open_records(settings: FlowSettings) -> Any:
    """Return TaskFlow's persistence, ready for use."""
    from taskflow.persistence import backends

    if settings.persistence is None:
        return _open_file(settings.folder, backends.fetch)
    conf = {"connection": _database(settings.persistence), "max_retries": 3}
    with _of_taskflow():
        records = backends.fetch(conf)
        _upgrade(records, tries=_TRIES)
    return records


def _open_file(folder: Path, fetch: Callable[[dict[str, Any]], Any]) -> Any:
    """Open the embedded records. They get their name when they are whole: a kill amid their making
    would leave tables that nobody could go on with."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    final = folder / "flows.sqlite"
    with _of_taskflow(), (folder / "making").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not final.exists():
            partial = folder / "flows.sqlite.new"
            partial.unlink(missing_ok=True)
            made = fetch({"connection": f"sqlite:///{partial}"})
            _upgrade(made)
            made.close()
            partial.rename(final)
        args = {"connect_args": {"timeout": _BUSY}}
        records = fetch({"connection": f"sqlite:///{final}", "engine_args": args})
        _upgrade(records)
    return records


def _upgrade(records: Any, *, tries: int = 1) -> None:
    """Bring the tables to what TaskFlow needs; where several begin at once, one wins."""
    for left in reversed(range(tries)):
        try:
            with _alembic, contextlib.closing(records.get_connection()) as connection:
                connection.upgrade()
            return
        except StorageFailure:
            if not left:
                raise
            time.sleep(1)


def _database(url: str) -> str:
    scheme, _, rest = url.partition("://")
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
