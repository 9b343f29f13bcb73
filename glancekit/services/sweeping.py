# SPDX-License-Identifier: Apache-2.0
"""Removing what takes room in the stores and is no image, where no record leads to it.

What a record leads to is the business of ``recovery``; how it looks in a store is the driver's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from glancekit.core.contracts.store import Remnant, SupportsSweep
from glancekit.core.errors import BlobUnavailable, StoreError, StoreUnavailable
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store
from glancekit.core.turns import require_turn
from glancekit.services.recovery import Recoverable

log = logging.getLogger(__name__)

MOST = 100
"""Removals of one store in one round: sweeping must not keep a store from its work."""

_HOUR = 3600.0


def sweep(world: Recoverable) -> int:
    """Remove what stores find; return how many things. A store that fails is left for later."""
    swept = 0
    for store in world.stores:
        try:
            swept += _sweep_store(world, store)
        except StoreError as error:
            log.warning("cannot sweep, will try again: %s", error)
    return swept


def remnants(world: Recoverable, store: Store) -> Iterator[Remnant]:
    """Yield what may be removed from a store: no living writer, and no record, is at it."""
    if not store.supports(SupportsSweep) or store.read_only or store.sweep_after <= 0:
        return
    for remnant in store.remnants(store.sweep_after * _HOUR):
        if not _has_writer(world, store, remnant.image_id):
            yield remnant


def explain(world: Recoverable) -> Iterator[str]:
    """Tell of each thing that is left over in the stores that it goes, and why."""
    for store in world.stores:
        for count, remnant in enumerate(remnants(world, store), 1):
            when = "stays, by sweep_dry_run" if store.sweep_dry_run else "goes"
            if not store.sweep_dry_run and count > MOST:
                when = "goes in a later round"
            yield (
                f"store {store.id}: {remnant.name} {when}; it is older than {store.sweep_after:g} "
                "hours, and neither an image nor a living writer has it"
            )


def _sweep_store(world: Recoverable, store: Store) -> int:
    swept = 0
    for tried, remnant in enumerate(remnants(world, store)):
        if tried == MOST:
            log.info("store %s has more to be swept, in the next round", store.id)
            break
        if store.sweep_dry_run:
            log.info("store %s: %s would be swept", store.id, remnant.name)
        else:
            require_turn()
            swept += _is_swept(store, remnant)
    return swept


def _is_swept(store: Store, remnant: Remnant) -> bool:
    """Remove a remnant. One that cannot be removed now does not keep the others.

    :raises StoreUnavailable: when the store is silent.
    """
    try:
        store.sweep(remnant)
    except StoreError as error:
        if isinstance(error, StoreUnavailable) and not isinstance(error, BlobUnavailable):
            raise
        log.warning("%s cannot be swept now: %s", remnant.name, error)
        return False
    log.info("store %s: swept %s", store.id, remnant.name)
    return True


def _has_writer(world: Recoverable, store: Store, image_id: str | None) -> bool:
    """Tell whether a writer is recorded. A dead one's is undone by way of that record."""
    if image_id is None:
        return False
    with world.metadata.unit_of_work(read_only=True) as work:
        rows = work.locations.of_image(image_id)
    return any(row.store == store.id and row.status is LocationStatus.WRITING for row in rows)
