# SPDX-License-Identifier: Apache-2.0
"""The mark repository: how far work is that goes through everything."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from glancekit.plugin import MarkRepository
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import marks

_GET = select(marks.c.text).where(marks.c.name == bindparam("name_"))
_REMOVE = delete(marks).where(marks.c.name == bindparam("name_"))


class SqlMarks(MarkRepository):
    """Marks in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> str | None:
        """See the contract."""
        found: str | None = self._session.execute(_GET, {"name_": name}).scalar()
        return found

    def put(self, name: str, text: str | None) -> None:
        """See the contract."""
        if text is None:
            self._session.write(_REMOVE, {"name_": name})
            return
        upsert = self._session.dialect.upsert(marks, "name", "text")
        self._session.write(upsert, {"name": name, "text": text})
