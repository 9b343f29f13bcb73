# SPDX-License-Identifier: Apache-2.0
"""The cache repository: which hosts said that they have which images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from glancekit.plugin import CacheRepository
from glancekit_sql_metadata import rows
from glancekit_sql_metadata.session import Session
from glancekit_sql_metadata.tables import cached_images

_OF_NODE = cached_images.c.node == bindparam("node_")
_TOLD = select(cached_images.c.image_id).where(_OF_NODE)
_PROLONG = update(cached_images).where(_OF_NODE).values(until=bindparam("until_"))
_DROP = delete(cached_images).where(_OF_NODE, cached_images.c.image_id == bindparam("image_id_"))
_WITH = select(cached_images.c.node).where(
    cached_images.c.image_id == bindparam("image_id_"), cached_images.c.until > bindparam("at")
)
_PRUNE = delete(cached_images).where(cached_images.c.until < bindparam("before"))


class SqlCaches(CacheRepository):
    """Hosts and images in a session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def tell(self, node: str, image_ids: Collection[str], until: datetime) -> None:
        """See the contract."""
        self._session.require_writing()
        had = set(self._session.execute(_TOLD, {"node_": node}).scalars())
        has = set(image_ids)
        if gone := sorted(had - has):
            self._session.write(_DROP, [{"node_": node, "image_id_": each} for each in gone])
        runs_out = rows.to_time(until)
        if had & has:
            self._session.write(_PROLONG, {"node_": node, "until_": runs_out})
        for image_id in sorted(has - had):
            values = {"node": node, "image_id": image_id, "until": runs_out}
            self._session.insert(cached_images, values)

    def nodes_with(self, image_id: str, *, at: datetime) -> Sequence[str]:
        """See the contract."""
        asked = {"image_id_": image_id, "at": rows.to_time(at)}
        return sorted(self._session.execute(_WITH, asked).scalars())

    def prune(self, before: datetime) -> int:
        """See the contract."""
        return self._session.write(_PRUNE, {"before": rows.to_time(before)}).rowcount
