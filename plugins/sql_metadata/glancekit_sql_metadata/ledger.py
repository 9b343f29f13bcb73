# SPDX-License-Identifier: Apache-2.0
"""The ledger repository: what projects took of stores, by days.

Whoever changes what is kept adds a row that says by how many bytes and when, and waits for
nobody. ``settle`` enters these rows into accounts, and what the accounts took into the days. Both
are sums, so a row that shows late, because its transaction took long, is entered as if it had
come in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, delete, insert, or_, select, update

from glancekit.plugin import LedgerRepository, StorageUse, day_of, spread
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.locks import hold
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import storage_accounts, storage_changes, storage_use

_LOCK = "ledger"

_NOTE = insert(storage_changes)
_CHANGES = select(storage_changes).order_by(storage_changes.c.id).limit(bindparam("limit"))
_FORGET = delete(storage_changes).where(
    storage_changes.c.id.in_(bindparam("done", expanding=True))
)

_BEHIND = (
    select(storage_accounts)
    .where(storage_accounts.c.at < bindparam("until"))
    .order_by(storage_accounts.c.at)
    .limit(bindparam("limit"))
)
_MINE = (
    storage_accounts.c.project_id == bindparam("project"),
    storage_accounts.c.store == bindparam("store_"),
)
_ACCOUNT = select(storage_accounts.c.amount, storage_accounts.c.at).where(*_MINE)
_OPEN = insert(storage_accounts)
_SAVE = update(storage_accounts).where(*_MINE)
_CLOSE = delete(storage_accounts).where(*_MINE)

_ENTRY = (
    storage_use.c.day == bindparam("day_"),
    storage_use.c.project_id == bindparam("project"),
    storage_use.c.store == bindparam("store_"),
)
_USE = select(storage_use.c.byte_hours, storage_use.c.rest).where(*_ENTRY)
_ENTER = insert(storage_use)
_REPLACE = update(storage_use).where(*_ENTRY)
_PRUNE = delete(storage_use).where(storage_use.c.day < bindparam("before"))

Account = tuple[str, str]
"""A project and a store."""


class SqlLedger(LedgerRepository):
    """The ledger in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # -- what the contract has

    def settle(self, until: datetime, *, limit: int) -> int:
        """See the contract."""
        self._session.require_writing()
        hold(self._session, _LOCK)
        return self._enter_changes(limit) or self._enter_time(until, limit)

    def find(
        self,
        *,
        since: datetime,
        until: datetime,
        project_id: str | None = None,
        store: str | None = None,
        after: StorageUse | None = None,
        limit: int,
    ) -> Sequence[StorageUse]:
        """See the contract."""
        asked = {
            "since": rows.to_time(since),
            "until": rows.to_time(until),
            "project": project_id,
            "store_": store,
            "limit": limit,
        }
        if after is not None:
            day, asked["after_project"], asked["after_store"] = after.key
            asked["after_day"] = rows.to_time(day)
        statement = _page(project_id is not None, store is not None, after is not None)
        return [
            StorageUse(
                day=rows.from_time(row.day),
                project_id=row.project_id,
                store=row.store,
                byte_hours=row.byte_hours,
                rest=row.rest,
            )
            for row in self._session.execute(statement, asked)
        ]

    def add(self, use: StorageUse) -> None:
        """See the contract."""
        self._session.require_writing()
        hold(self._session, _LOCK)
        self._enter({use.key: use.amount})

    def prune(self, before: datetime) -> int:
        """See the contract."""
        self._session.require_writing()
        hold(self._session, _LOCK)
        return self._session.write(_PRUNE, {"before": rows.to_time(day_of(before))}).rowcount

    # -- what the other repositories use

    def note(self, changes: Mapping[Account, int], at: datetime) -> None:
        """Write down by how many bytes accounts have changed at a moment."""
        values = [
            {"project_id": project, "store": store, "amount": amount, "at": rows.to_time(at)}
            for (project, store), amount in sorted(changes.items())
            if amount
        ]
        if values:
            self._session.write(_NOTE, values)

    # -- how

    def _enter_changes(self, limit: int) -> int:
        found = self._session.execute(_CHANGES, {"limit": limit}).all()
        of_account: defaultdict[Account, list[tuple[int, datetime]]] = defaultdict(list)
        for row in found:
            change = (row.amount, rows.from_time(row.at))
            of_account[row.project_id, row.store].append(change)
        taken: defaultdict[tuple[datetime, str, str], int] = defaultdict(int)
        for account, changes in sorted(of_account.items()):
            self._change(account, changes, taken)
        self._enter(taken)
        if found:
            self._session.write(_FORGET, {"done": [row.id for row in found]})
        return len(found)

    def _change(
        self,
        account: Account,
        changes: Sequence[tuple[int, datetime]],
        taken: defaultdict[tuple[datetime, str, str], int],
    ) -> None:
        """Bring an account to its last change, and say what it took until then."""
        project, store = account
        key = {"project": project, "store_": store}
        row = self._session.execute(_ACCOUNT, key).first()
        kept = 0 if row is None else int(row.amount)
        entered = changes[0][1] if row is None else rows.from_time(row.at)
        for amount, at in changes:
            # What came late changes what was entered as if it had been so since then.
            size, since, until = (kept, entered, at) if at > entered else (amount, at, entered)
            for day, took in spread(size, since, until):
                taken[day, project, store] += took
            kept, entered = kept + amount, max(entered, at)
        values = {"amount": kept, "at": rows.to_time(entered)}
        if row is None:
            self._session.write(_OPEN, {"project_id": project, "store": store, **values})
        else:
            self._session.write(_SAVE, {**key, **values})

    def _enter_time(self, until: datetime, limit: int) -> int:
        asked = {"until": rows.to_time(until), "limit": limit}
        found = self._session.execute(_BEHIND, asked).all()
        taken: defaultdict[tuple[datetime, str, str], int] = defaultdict(int)
        for row in found:
            for day, took in spread(row.amount, rows.from_time(row.at), until):
                taken[day, row.project_id, row.store] += took
            key = {"project": row.project_id, "store_": row.store}
            if row.amount:
                self._session.write(_SAVE, {**key, "amount": row.amount, "at": asked["until"]})
            else:
                self._session.write(_CLOSE, key)
        self._enter(taken)
        return len(found)

    def _enter(self, taken: Mapping[tuple[datetime, str, str], int]) -> None:
        """Add to what is entered."""
        for (day, project, store), amount in sorted(taken.items()):
            if not amount:
                continue
            key = {"day_": rows.to_time(day), "project": project, "store_": store}
            row = self._session.execute(_USE, key).first()
            there = 0 if row is None else _amount(day, project, store, row)
            use = StorageUse.of((day, project, store), there + amount)
            values = {"byte_hours": use.byte_hours, "rest": use.rest}
            if row is None:
                place = {"day": key["day_"], "project_id": project, "store": store}
                self._session.write(_ENTER, {**place, **values})
            else:
                self._session.write(_REPLACE, {**key, **values})


def _amount(day: datetime, project: str, store: str, row: Any) -> int:
    return StorageUse(
        day=day, project_id=project, store=store, byte_hours=row.byte_hours, rest=row.rest
    ).amount


def _page(has_project: bool, has_store: bool, is_further: bool) -> Select[Any]:
    use = storage_use.c
    statement = (
        select(storage_use)
        .where(use.day >= bindparam("since"), use.day < bindparam("until"))
        .order_by(use.day, use.project_id, use.store)
        .limit(bindparam("limit"))
    )
    if has_project:
        statement = statement.where(use.project_id == bindparam("project"))
    if has_store:
        statement = statement.where(use.store == bindparam("store_"))
    if is_further:
        same_day = use.day == bindparam("after_day")
        same_project = use.project_id == bindparam("after_project")
        statement = statement.where(
            use.day >= bindparam("after_day"),
            or_(
                use.day > bindparam("after_day"),
                same_day & (use.project_id > bindparam("after_project")),
                same_day & same_project & (use.store > bindparam("after_store")),
            ),
        )
    return statement
