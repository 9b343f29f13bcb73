# SPDX-License-Identifier: Apache-2.0
"""The event repository: the outbox and how far each listener has been told.

Whoever reads on from the last position that it saw must miss nothing, so positions are given out
in the order of the commits: events are kept back until the commit, and one transaction at a time
adds its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select

from glancekit.plugin import Event, EventRepository
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.locks import hold
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import event_cursors, events

PRUNED = ""
"""The name of the cursor that marks how far the outbox was pruned; no listener is called so."""

_OUTBOX = "outbox"
_APPEND = insert(events)
_AFTER = (
    select(events)
    .where(events.c.position > bindparam("position_"))
    .order_by(events.c.position)
    .limit(bindparam("limit"))
)
_LAST = select(func.max(events.c.position))
_CURSOR = select(event_cursors.c.position).where(event_cursors.c.listener == bindparam("who"))
_TOLD = select(func.min(event_cursors.c.position)).where(event_cursors.c.listener != PRUNED)
_OLD = select(func.max(events.c.position)).where(
    events.c.at < bindparam("before"), events.c.position <= bindparam("told")
)
_PRUNE = delete(events).where(
    events.c.at < bindparam("before"), events.c.position <= bindparam("told")
)
_FORGET = delete(event_cursors).where(
    event_cursors.c.listener.not_in(bindparam("kept", expanding=True))
)

_ALL = (1 << 63) - 1


class SqlEvents(EventRepository):
    """The outbox in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._waiting: list[dict[str, Any]] = []

    def append(self, event: Event) -> None:
        """See the contract."""
        self._session.require_writing()
        values = {
            "type": event.type,
            "subject": event.subject,
            "project_id": event.project_id,
            "user_id": event.user_id,
            "request_id": event.request_id,
            "payload": rows.to_json(event.payload),
            "at": rows.to_time(event.at),
        }
        self._waiting.append(values)

    def settle(self) -> None:
        """Add what was appended; from here to its end this transaction alone adds events."""
        if self._waiting:
            hold(self._session, _OUTBOX)
            waiting, self._waiting = self._waiting, []
            self._session.write(_APPEND, waiting)

    def after(self, position: int, *, limit: int) -> Sequence[Event]:
        """See the contract."""
        self.settle()
        found = self._session.execute(_AFTER, {"position_": position, "limit": limit})
        return [rows.event(row) for row in found]

    def last_position(self) -> int:
        """See the contract."""
        self.settle()
        return int(self._session.execute(_LAST).scalar() or self.cursor(PRUNED))

    def cursor(self, listener: str) -> int:
        """See the contract."""
        return int(self._session.execute(_CURSOR, {"who": listener}).scalar() or 0)

    def advance(self, listener: str, position: int) -> None:
        """See the contract. A cursor never goes back."""
        upsert = self._session.dialect.upsert(event_cursors, "listener", "position")
        furthest = max(position, self.cursor(listener))
        self._session.write(upsert, {"listener": listener, "position": furthest})

    def retain(self, listeners: Collection[str]) -> None:
        """See the contract."""
        self._session.write(_FORGET, {"kept": [PRUNED, *listeners]})

    def prune(self, before: datetime) -> int:
        """See the contract."""
        self.settle()
        told = self._session.execute(_TOLD).scalar()
        bounds = {"before": rows.to_time(before), "told": _ALL if told is None else told}
        last = self._session.execute(_OLD, bounds).scalar()
        if last is None:
            return 0
        self.advance(PRUNED, last)
        return self._session.write(_PRUNE, bounds).rowcount
