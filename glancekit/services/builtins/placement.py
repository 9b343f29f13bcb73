# SPDX-License-Identifier: Apache-2.0
"""A listener that chooses the store of an image by ``[glance_store] choose_by``.

It is asked after all others, so that installing a plugin that knows better is enough.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from glancekit.core.contracts.store import SupportsUsage, Usage
from glancekit.core.stores import ChooseBy, Store, Stores
from glancekit.core.trials import Overdue, attempt_all
from glancekit.plugin import hookimpl

api_level = 1

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""Seconds that all stores together have to say how much room they have. An upload waits for it,
and a hook has ``[plugins] plugin_start_timeout``, less than a store that hangs takes by itself."""


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
    able = [store for store in stores if store.supports(SupportsUsage)]
    answers = attempt_all([store.usage for store in able], deadline=PATIENCE)
    rooms = [_room(*pair) for pair in zip(able, answers, strict=True)]
    fitting = [(room, store.id) for room, store in rooms if room is not None and room >= size]
    return max(fitting)[1] if fitting else None


def _room(store: Store, answer: Usage | BaseException) -> tuple[int | None, Store]:
    if isinstance(answer, Usage):
        return answer.free, store
    reason = f"no answer within {PATIENCE:g} s" if isinstance(answer, Overdue) else answer
    log.warning("store %s does not say how much room it has: %s", store.id, reason)
    return None, store
