# SPDX-License-Identifier: Apache-2.0
"""Putting imports on the board, and running them: TaskFlow's conductor with our rules around it.

A worker may be killed at any line. Its claims are given back by others, who go on with its flows
from the last step that was finished.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from typing import Any

from taskflow import engines
from taskflow.conductors.backends.impl_nonblocking import NonBlockingConductor
from taskflow.exceptions import JobFailure, NotFound, StorageFailure
from taskflow.persistence.models import FlowDetail, LogBook

from glancekit.core.errors import MetadataError
from glancekit.flows.boards import open_board, open_records, owner_of
from glancekit.flows.options import FlowSettings
from glancekit.flows.ports import ImportWork, Job, Turn

log = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between looks at the board while nothing is to do."""

TIDYING = 5.0
"""Seconds between looks for dead workers' claims and for imports that are on no board."""

ANOTHER = 0.5
"""Seconds that another has to end the making of a flow's records."""

RECIPE = "glancekit.flows.import_image.recipe"

_own_log = logging.getLogger(f"{__name__}.taskflow")
_own_log.setLevel(logging.ERROR)  # why an import failed is told once, by who undoes it


class Board:
    """The board and the records of flows, in one process."""

    def __init__(self, settings: FlowSettings) -> None:
        self.settings = settings
        self.records = open_records(settings)
        self.jobs = open_board(settings, self.records)

    def post(self, job: Job) -> None:
        """Put an import on the board; one that is there already is left as it is."""
        book = self._book_of(job.task_id) or self._made_book(job)
        self.jobs.post(job.task_id, book=book, details={"project": job.project})

    def _book_of(self, task_id: str) -> LogBook | None:
        """Return what is kept of a flow already, if that is enough to go on with it."""
        try:
            with contextlib.closing(self.records.get_connection()) as connection:
                book = connection.get_logbook(task_id)
        except NotFound:
            return None
        return book if any("factory" in (detail.meta or {}) for detail in book) else None

    def _made_book(self, job: Job) -> LogBook:
        """Make the records of a flow, unless somebody else does so at this moment."""
        try:
            return self._new_book(job)
        except StorageFailure:
            time.sleep(ANOTHER)
            book = self._book_of(job.task_id)
            if book is None:
                raise
            return book

    def _new_book(self, job: Job) -> LogBook:
        book = LogBook(f"import {job.task_id}", uuid=job.task_id)
        detail = FlowDetail(book.name, uuid=str(uuid.uuid5(uuid.UUID(job.task_id), "flow")))
        book.add(detail)
        with contextlib.closing(self.records.get_connection()) as connection:
            connection.save_logbook(book)
        engines.save_factory_details(
            detail, RECIPE, [], {"job": job.to_json()}, backend=self.records
        )
        return book

    def forget(self, task_id: str) -> None:
        """Drop what is kept of a flow that has ended."""
        with (
            contextlib.suppress(NotFound),
            contextlib.closing(self.records.get_connection()) as connection,
        ):
            connection.destroy_logbook(task_id)

    def kept(self) -> set[str]:
        """Return the tasks of whose flows something is kept."""
        with contextlib.closing(self.records.get_connection()) as connection:
            return {str(book.uuid) for book in connection.get_logbooks(lazy=True)}

    def close(self) -> None:
        """Let go of connections and claims."""
        self.jobs.close()
        self.records.close()


class Worker:
    """Runs imports until it is stopped."""

    def __init__(self, settings: FlowSettings, work: ImportWork, *, holder: str) -> None:
        """Take who does the deeds, and under which name claims are made: that of a lease."""
        self._board = Board(settings)
        self._work = work
        self._conductor = _Conductor(
            work,
            holder,
            self._board.jobs,
            persistence=self._board.records,
            engine="parallel",
            engine_options={"executor": "threaded"},
            wait_timeout=LOOK,
            log=_own_log,
            max_simultaneous_jobs=settings.max_workers,
        )
        self._conductor.notifier.register("job_consumed", self._consumed)
        self._stopping = threading.Event()
        self._tidying = threading.Thread(target=self._keep_tidy, name="tidying", daemon=True)
        self._running = threading.Thread(target=self._run, name="imports", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._tidying.start()
        self._running.start()

    def stop(self, timeout: float) -> bool:
        """Take no more jobs, and stop flows behind the step they are at.

        True when all have stopped in time. What has not is left to be killed with the process;
        others go on with it.
        """
        self._stopping.set()
        self._conductor.stop()
        self._running.join(timeout)
        return not self._running.is_alive()

    @property
    def is_idle(self) -> bool:
        """There is nothing on the board."""
        return not self._board.jobs.job_count

    def close(self) -> None:
        """Let go of connections and claims, after a stop."""
        self._board.close()

    def tidy(self) -> None:
        """Give back dead workers' claims, and put on the board what is on none."""
        posted = set()
        claims: dict[str, list[Any]] = {}
        for job in self._board.jobs.every_job():
            posted.add(job.name)
            if owner := owner_of(job):
                claims.setdefault(owner, []).append(job)
        for owner in self._work.gone(claims):
            for job in claims[owner]:
                log.warning("the worker %s is dead; its import %s is taken up", owner, job.name)
                with contextlib.suppress(JobFailure, NotFound):
                    self._board.jobs.abandon(job, owner)
        for wanted in self._work.unfinished(age=TIDYING):
            if wanted.task_id not in posted:
                self._board.post(wanted)

    def forget_ended(self) -> None:
        """Drop records of flows whose worker died between the end and the forgetting."""
        kept = self._board.kept()
        going = {job.task_id for job in self._work.unfinished()}
        on_board = {job.name for job in self._board.jobs.every_job()}
        for task_id in kept - going - on_board:
            self._board.forget(task_id)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._conductor.run()
            except Exception:  # a worker that ended here would leave its imports to nobody
                log.exception("the board of imports failed, will try again")
                self._stopping.wait(TIDYING)

    def _keep_tidy(self) -> None:
        is_first = True
        while not self._stopping.wait(TIDYING):
            try:
                self.tidy()
                if is_first:
                    self.forget_ended()
                    is_first = False
            except Exception:  # board or database may be back in a moment
                log.exception("could not look for imports that were left, will try again")

    def _consumed(self, _event: str, details: dict[str, Any]) -> None:
        self._board.forget(details["job"].name)


class _Deeds:
    """The deeds of an import, raising only what TaskFlow can write down.

    It can no error that has a ``SystemExit`` among its causes: the flow of a plugin that tried to
    end the process would never come to its end.
    """

    def __init__(self, work: ImportWork) -> None:
        self._work = work

    def __getattr__(self, name: str) -> Any:
        deed = getattr(self._work, name)

        def do(*given: Any) -> Any:
            try:
                return deed(*given)
            except SystemExit as error:
                raise RuntimeError(f"{name} raised SystemExit: {error}") from None
            except Exception as error:
                _cut_exits(error)
                raise

        return do


def _cut_exits(error: BaseException) -> None:
    """Forget causes that are no errors; the message of what was made of them says it."""
    for link in ("__cause__", "__context__"):
        cause = getattr(error, link)
        if isinstance(cause, Exception):
            _cut_exits(cause)
        elif cause is not None:
            setattr(error, link, None)


class _Conductor(NonBlockingConductor):  # type: ignore[misc]  # taskflow has no types
    """TaskFlow's conductor, which asks before it runs a job."""

    def __init__(self, work: ImportWork, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.work = work
        self._at: set[str] = set()
        self._at_lock = threading.Lock()

    def _dispatch_job(self, job: Any) -> bool:
        # An import may be on the board twice: put there by who wanted it, and by who missed it.
        with self._at_lock:
            if job.name in self._at:
                self._jobboard.leave_alone(job)
                return False
            self._at.add(job.name)
        try:
            return self._take_and_run(job)
        finally:
            with self._at_lock:
                self._at.discard(job.name)

    def _take_and_run(self, job: Any) -> bool:
        try:
            turn = self.work.take(job.name)
        except MetadataError as error:
            log.warning("could not begin import %s, will try again: %s", job.name, error)
            turn = Turn.NOT_NOW
        if turn is Turn.OVER:
            return True
        if turn is Turn.NOT_NOW:
            self._jobboard.leave_alone(job)
            return False
        try:
            return bool(super()._dispatch_job(job))
        except StorageFailure as error:
            log.warning("import %s stopped, will be gone on with: %s", job.name, error)
            return False

    def _engine_from_job(self, job: Any) -> Any:
        engine = super()._engine_from_job(job)
        engine.compile()
        engine.storage.inject({"work": _Deeds(self.work)}, transient=True)
        return engine

    def _listeners_from_job(self, _job: Any, _engine: Any) -> list[Any]:
        return []
