# SPDX-License-Identifier: Apache-2.0
"""The lease repository: which processes are alive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, select

from glancekit.plugin import LeaseRepository
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import leases

_RELEASE = delete(leases).where(leases.c.holder == bindparam("holder_"))
_ALIVE = select(leases.c.holder).where(leases.c.until > bindparam("at"))
_PRUNE = delete(leases).where(leases.c.until < bindparam("before"))


class SqlLeases(LeaseRepository):
    """Leases in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def renew(self, holder: str, until: datetime) -> None:
        """See the contract."""
        upsert = self._session.dialect.upsert(leases, "holder", "until")
        self._session.write(upsert, {"holder": holder, "until": rows.to_time(until)})

    def release(self, holder: str) -> None:
        """See the contract."""
        self._session.write(_RELEASE, {"holder_": holder})

    def holders(self, *, alive_at: datetime) -> frozenset[str]:
        """See the contract."""
        found = self._session.execute(_ALIVE, {"at": rows.to_time(alive_at)})
        return frozenset(found.scalars())

    def prune(self, before: datetime) -> int:
        """See the contract."""
        return self._session.write(_PRUNE, {"before": rows.to_time(before)}).rowcount
