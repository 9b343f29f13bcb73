# SPDX-License-Identifier: Apache-2.0
"""Which stores are new, so that their places may be made. How that is done is a driver's business.

A place that was made and is away looks like one that was never made: an empty folder may be where
a file system belongs that is not mounted. Only the records tell the two apart.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.contracts.store import SupportsBegin
from glancekit.core.errors import StoreError
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store

log = logging.getLogger(__name__)

LOOKED_AT = 1000
"""Rows of unfinished deeds that are looked at. Where there are more, no store counts as new."""

_EVER = datetime.max.replace(tzinfo=UTC)


def begin_new(metadata: MetadataDriver, stores: Iterable[Store]) -> None:
    """Have the places made of those stores into which no record leads.

    :raises MetadataError: when the records do not tell.
    """
    for store in stores:
        if not may_begin(store) or not is_new(metadata, store):
            continue
        try:
            store.begin()
        except StoreError as error:  # it is used all the same, and tells then what is wrong
            log.warning("the place of store %s cannot be made: %s", store.id, error)


def may_begin(store: Store) -> bool:
    """Say whether a store's place is one to be made, and may be."""
    return store.supports(SupportsBegin) and not store.read_only


def is_new(metadata: MetadataDriver, store: Store) -> bool:
    """Say whether no record leads into a store; in doubt, one does.

    :raises MetadataError: when the records do not tell.
    """
    with metadata.unit_of_work(read_only=True) as work:
        if work.locations.due(store.id, before=_EVER, limit=1):
            return False
        for status in (LocationStatus.WRITING, LocationStatus.PENDING_DELETE):
            rows = work.locations.with_status(status, limit=LOOKED_AT)
            if len(rows) == LOOKED_AT or any(row.store == store.id for row in rows):
                return False
    return True
