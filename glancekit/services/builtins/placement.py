# SPDX-License-Identifier: Apache-2.0
"""A listener that chooses the store of an image by ``[glance_store] choose_by``.

It is asked after all others, so that installing a plugin that knows better is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from glancekit.core.errors import StoreError
from glancekit.core.stores import ChooseBy, Store, Stores
from glancekit.plugin import hookimpl

api_level = 1

log = logging.getLogger(__name__)


@hookimpl(trylast=True)
def choose_store(size: int | None, stores: Stores) -> str | None:
    """Name a store that can take an image now; None leaves it to the default one.

    A store whose weight is negative takes only images that are sent to it by name.
    """
    open_to_all = [store for store in stores.takers if store.weight >= 0]
    if stores.choose_by is ChooseBy.WEIGHT:
        return _heaviest(open_to_all)
    if stores.choose_by is ChooseBy.FREE_SPACE:
        return _roomiest(open_to_all, size or 0)
    return None


def _heaviest(stores: Sequence[Store]) -> str | None:
    best = max(stores, key=lambda store: (store.weight, store.is_default), default=None)
    return None if best is None else best.id


def _roomiest(stores: Sequence[Store], size: int) -> str | None:
    rooms = [(room, store.id) for store in stores if (room := _room(store)) is not None]
    fitting = [(room, name) for room, name in rooms if room >= size]
    return max(fitting)[1] if fitting else None


def _room(store: Store) -> int | None:
    try:
        return store.usage().free
    except StoreError as error:
        log.warning("store %s does not say how much room it has: %s", store.id, error)
        return None
