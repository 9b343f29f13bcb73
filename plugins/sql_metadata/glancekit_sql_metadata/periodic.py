# SPDX-License-Identifier: Apache-2.0
"""The repository of periodic tasks: how they stand, and the last of their runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from glancekit.plugin import Conflict, PeriodicRepository, PeriodicRun, PeriodicState
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import periodic_runs, periodic_states

_IS_STATE = (
    periodic_states.c.name == bindparam("name_"),
    periodic_states.c.host == bindparam("host_"),
)
_GET = select(periodic_states).where(*_IS_STATE)
_ALL = select(periodic_states).order_by(periodic_states.c.name, periodic_states.c.host)
_SAVE = update(periodic_states).where(
    *_IS_STATE, periodic_states.c.version == bindparam("version_")
)
_FORGET = delete(periodic_states).where(*_IS_STATE)

_IS_RUN = (periodic_runs.c.name == bindparam("name_"), periodic_runs.c.host == bindparam("host_"))
_ADD_RUN = insert(periodic_runs)
_LAST_TO_GO = (
    select(periodic_runs.c.id)
    .where(*_IS_RUN)
    .order_by(periodic_runs.c.id.desc())
    .limit(1)
    .offset(bindparam("keep"))
)
_PRUNE_RUNS = delete(periodic_runs).where(*_IS_RUN, periodic_runs.c.id <= bindparam("last"))
_HISTORY = (
    select(periodic_runs)
    .where(periodic_runs.c.name == bindparam("name_"))
    .order_by(periodic_runs.c.id.desc())
    .limit(bindparam("limit"))
)
_FORGET_RUNS = delete(periodic_runs).where(*_IS_RUN)


class SqlPeriodic(PeriodicRepository):
    """Periodic tasks in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str, host: str = "") -> PeriodicState:
        """See the contract."""
        get = _GET if self._session.read_only else self._session.dialect.locking(_GET)
        row = self._session.execute(get, {"name_": name, "host_": host}).first()
        return PeriodicState(name=name, host=host) if row is None else _state(row)

    def all(self) -> Sequence[PeriodicState]:
        """See the contract."""
        return [_state(row) for row in self._session.execute(_ALL)]

    def save(self, state: PeriodicState) -> PeriodicState:
        """See the contract."""
        saved = replace(state, version=state.version + 1)
        values = _values(saved)
        if state.version == 0:
            is_saved = self._session.insert(periodic_states, values) is not None
        else:
            known = {"name_": state.name, "host_": state.host, "version_": state.version}
            is_saved = self._session.write(_SAVE, {**values, **known}).rowcount == 1
        if not is_saved:
            raise Conflict(f"The periodic task {state.name} was changed meanwhile")
        return saved

    def remember(self, run: PeriodicRun, *, keep: int) -> None:
        """See the contract."""
        values = {
            "name": run.name,
            "host": run.host,
            "runner": run.runner,
            "started_at": rows.to_time(run.started_at),
            "ended_at": rows.to_time(run.ended_at),
            "result": run.result,
            "error": run.error,
        }
        self._session.write(_ADD_RUN, values)
        key = {"name_": run.name, "host_": run.host}
        last = self._session.execute(_LAST_TO_GO, {**key, "keep": keep}).scalar()
        if last is not None:
            self._session.write(_PRUNE_RUNS, {**key, "last": last})

    def history(self, name: str, *, limit: int) -> Sequence[PeriodicRun]:
        """See the contract."""
        found = self._session.execute(_HISTORY, {"name_": name, "limit": limit})
        return [
            PeriodicRun(
                name=row.name,
                host=row.host,
                runner=row.runner,
                started_at=rows.from_time(row.started_at),
                ended_at=rows.from_time(row.ended_at),
                result=row.result,
                error=row.error,
            )
            for row in found
        ]

    def forget(self, name: str, host: str = "") -> None:
        """See the contract."""
        for statement in (_FORGET, _FORGET_RUNS):
            self._session.write(statement, {"name_": name, "host_": host})


def _values(state: PeriodicState) -> dict[str, Any]:
    return {
        "name": state.name,
        "host": state.host,
        "is_paused": state.is_paused,
        "requested_at": _to_time(state.requested_at),
        "due_at": _to_time(state.due_at),
        "started_at": _to_time(state.started_at),
        "ended_at": _to_time(state.ended_at),
        "runner": state.runner,
        "result": state.result,
        "error": state.error,
        "version": state.version,
    }


def _state(row: Any) -> PeriodicState:
    return PeriodicState(
        name=row.name,
        host=row.host,
        is_paused=row.is_paused,
        requested_at=_from_time(row.requested_at),
        due_at=_from_time(row.due_at),
        started_at=_from_time(row.started_at),
        ended_at=_from_time(row.ended_at),
        runner=row.runner,
        result=row.result,
        error=row.error,
        version=row.version,
    )


def _to_time(at: datetime | None) -> int | None:
    return None if at is None else rows.to_time(at)


def _from_time(stored: int | None) -> datetime | None:
    return None if stored is None else rows.from_time(stored)
