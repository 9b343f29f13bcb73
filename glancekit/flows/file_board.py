# SPDX-License-Identifier: Apache-2.0
"""TaskFlow's jobboard in a folder, for the processes of one machine. What jobs are is not its own.

A job is a file, which appears whole and never changes. Who has claimed it holds a lock (flock) on
that file, which the kernel takes away with the process, however that dies.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskflow import states
from taskflow.exceptions import NotFound, UnclaimableJob
from taskflow.jobs.base import Job, JobBoard, JobPriority

_SUFFIX = ".job"
_LOOK = 0.5
"""Seconds between looks at the folder, for who waits."""


class FileJob(Job):  # type: ignore[misc]  # taskflow has no types
    """A job as it lies in the folder."""

    def __init__(self, board: FileJobBoard, kept: Mapping[str, Any], backend: Any) -> None:
        super().__init__(
            board,
            kept["name"],
            uuid=kept["uuid"],
            details=kept["details"],
            backend=backend,
            book_data=kept["book"],
        )
        self._kept = kept

    @property
    def created_on(self) -> datetime:
        """When it was posted."""
        return datetime.fromtimestamp(self._kept["created_on"], UTC)

    @property
    def last_modified(self) -> datetime:
        """The same: jobs do not change."""
        return self.created_on

    @property
    def priority(self) -> JobPriority:
        """Its priority."""
        return JobPriority(self._kept["priority"])

    @property
    def state(self) -> str:
        """Whether anybody is at it."""
        return str(self.board.state_of(self))


class FileJobBoard(JobBoard):  # type: ignore[misc]  # taskflow has no types
    """Jobs as files. A claim is this process's, whichever of its threads made it."""

    def __init__(self, name: str, folder: Path, persistence: Any) -> None:
        super().__init__(name, {})
        self._folder = folder
        self._persistence = persistence
        self._claimed: dict[str, int] = {}
        self._lock = threading.Lock()
        self._connected = False

    # -- being there

    @property
    def connected(self) -> bool:
        """Whether the folder was made."""
        return self._connected

    def connect(self) -> None:
        """Make the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._connected = True

    def close(self) -> None:
        """Let go of all claims."""
        with self._lock:
            for claim in self._claimed.values():
                os.close(claim)
            self._claimed.clear()
        self._connected = False

    def register_entity(self, entity: Any) -> None:
        """Nothing to do: who works is known by its locks."""

    # -- posting and looking

    def post(
        self,
        name: str,
        book: Any = None,
        details: Mapping[str, Any] | None = None,
        priority: JobPriority = JobPriority.NORMAL,
    ) -> FileJob:
        """Post a job; one of the same name is that job, and posted once."""
        kept = {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
            "name": name,
            "book": {} if book is None else {"name": book.name, "uuid": book.uuid},
            "details": dict(details or {}),
            "priority": JobPriority.convert(priority).value,
            "created_on": time.time(),
        }
        path = self._path(kept["uuid"])
        partial = path.with_suffix(f".{uuid.uuid4().hex}")
        with partial.open("x") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)  # unlike a rename, a link never takes another file's place
            self._sync()
        except FileExistsError:
            return self._read(path)
        finally:
            partial.unlink()
        return FileJob(self, kept, self._persistence)

    def iterjobs(
        self, only_unclaimed: bool = False, ensure_fresh: bool = False
    ) -> Iterator[FileJob]:
        """Return the jobs, those of higher priority first, then the oldest."""
        found = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                found.append(self._read(path))
            except NotFound:
                continue  # done meanwhile
        order = list(JobPriority)
        for job in sorted(found, key=lambda job: (order.index(job.priority), job.created_on)):
            if not only_unclaimed or job.state == states.UNCLAIMED:
                yield job

    def wait(self, timeout: float | None = None) -> Iterator[FileJob]:
        """Return the jobs once there are any.

        :raises NotFound: when none came in time.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self.job_count:
            if end is not None and time.monotonic() >= end:
                raise NotFound(f"no job was posted within {timeout} s")
            time.sleep(_LOOK)
        return self.iterjobs()

    @property
    def job_count(self) -> int:
        """How many jobs there are."""
        return sum(1 for _ in self._folder.glob(f"*{_SUFFIX}"))

    def state_of(self, job: FileJob) -> str:
        """Return whether a job is claimed, or gone."""
        with self._lock:
            if job.uuid in self._claimed:
                return str(states.CLAIMED)
        try:
            file = self._open(job)
        except NotFound:
            return str(states.COMPLETE)
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return str(states.CLAIMED)
        finally:
            os.close(file)
        return str(states.UNCLAIMED)

    def find_owner(self, job: FileJob) -> str | None:
        """Return None: the kernel knows that somebody has a lock, and lets go for the dead."""
        return None

    # -- claims

    def claim(self, job: FileJob, who: str) -> None:
        """Take a job.

        :raises UnclaimableJob: when somebody has it.
        :raises NotFound: when it is gone.
        """
        with self._lock:
            if job.uuid in self._claimed:
                raise UnclaimableJob(f"job {job.uuid} is being worked at here")
            file = self._open(job)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file).st_nlink == 0:
                    raise NotFound(f"job {job.uuid} is done")
            except BlockingIOError as error:
                os.close(file)
                raise UnclaimableJob(f"job {job.uuid} is claimed") from error
            except BaseException:
                os.close(file)
                raise
            self._claimed[job.uuid] = file

    def abandon(self, job: FileJob, who: str) -> None:
        """Give a job back."""
        os.close(self._take_claim(job))

    def consume(self, job: FileJob, who: str) -> None:
        """Take a job off the board for good."""
        claim = self._take_claim(job)
        try:
            self._path(job.uuid).unlink(missing_ok=True)
            self._sync()
        finally:
            os.close(claim)

    def trash(self, job: FileJob, who: str) -> None:
        """Take a job off the board that nobody can run; whoever wanted it may post another."""
        self.consume(job, who)

    # -- how

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{_SUFFIX}"

    def _take_claim(self, job: FileJob) -> int:
        with self._lock:
            try:
                return self._claimed.pop(job.uuid)
            except KeyError:
                raise NotFound(f"job {job.uuid} is not claimed here") from None

    def _open(self, job: FileJob) -> int:
        try:
            return os.open(self._path(job.uuid), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFound(f"job {job.uuid} is done") from None

    def _read(self, path: Path) -> FileJob:
        try:
            return FileJob(self, json.loads(path.read_text()), self._persistence)
        except FileNotFoundError:
            raise NotFound(f"{path.name} is done") from None

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
