# SPDX-License-Identifier: Apache-2.0
"""Rows that one transaction at a time may hold. What they stand for is their holders' business."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import locks

_LOCK = select(locks.c.name).where(locks.c.name == bindparam("name_"))


def hold(session: Session, name: str) -> None:
    """Hold a row until the end of the transaction, where the database writes more than one."""
    lock = session.dialect.locking(_LOCK)
    if lock is _LOCK:
        return
    while session.execute(lock, {"name_": name}).first() is None:
        # Another transaction may have been quicker; its row is then not held by this one yet.
        session.write(session.dialect.insert_missing(locks), {"name": name})
