# SPDX-License-Identifier: Apache-2.0
"""Removing the data of images that were deleted a while ago (``delayed_delete``).

Having them back until then is the business of ``restoring``; removing what is condemned, of
``recovery``, which also goes on where this was cut off.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from glancekit.core.errors import Conflict, ImageNotFound
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.listing import Comparison, Condition, ImageQuery, SortKey
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.turns import require_turn
from glancekit.services.recovery import Recoverable, finish_delete
from glancekit.services.restoring import is_restorable
from glancekit.services.world import Settings

log = logging.getLogger(__name__)

BATCH = 100
"""Images looked at in one query."""


class Scrubbed(Recoverable, Protocol):
    """What scrubbing works with."""

    @property
    def settings(self) -> Settings:
        """What an operator decided."""
        ...


def scrub(world: Scrubbed) -> int:
    """Remove the data of all images whose time is over; return how many were begun with.

    :raises TurnOver: when another process may be at it; what was begun with is gone on with.
    """
    begun = 0
    before = now() - timedelta(seconds=world.settings.scrub_time)
    for image in _deleted(world, before):
        require_turn()
        condemned = _condemn(world, image.id, before)
        if not condemned:
            continue
        begun += 1
        log.info("image %s was deleted a while ago; its data is removed", image.id)
        for row in condemned:
            if row.holder is None:  # else who is at it lets go, and the reaper goes on
                finish_delete(world, row)
        time.sleep(1.0 / world.settings.scrub_rate)
    return begun


def explain(world: Scrubbed) -> Iterator[str]:
    """Tell of each deleted image what happens to its data, and why."""
    window = timedelta(seconds=world.settings.scrub_time)
    for image in _deleted(world, now()):
        until = image.updated_at + window
        if not is_restorable(image):
            yield f"image {image.id}: its data is being removed already; the reaper goes on"
        elif until <= now():
            yield f"image {image.id}: its data goes; it could be restored until {until:%F %T} UTC"
        else:
            yield f"image {image.id}: stays; it can be restored until {until:%F %T} UTC"


def _deleted(world: Scrubbed, before: datetime) -> Iterator[Image]:
    """Yield the images that were deleted until then, the oldest first."""
    marker: str | None = None
    while True:
        query = ImageQuery(
            limit=BATCH,
            marker=marker,
            sort=(SortKey("updated_at", descending=False),),
            conditions=(
                Condition("status", Comparison.EQ, ImageStatus.PENDING_DELETE.value),
                Condition("updated_at", Comparison.LTE, before),
            ),
            all_visibilities=True,
            os_hidden=None,
        )
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                page = work.images.find(query)
        except ImageNotFound:
            return  # the last one is gone by now; the rest is seen in the next round
        yield from page.images
        if not page.is_full:
            return
        marker = page.images[-1].id


def _condemn(world: Scrubbed, image_id: str, before: datetime) -> Sequence[Location]:
    """Take the way back from an image: none of its copies is active any more.

    What is decided here is decided again, in the transaction that writes: it may just have been
    restored, and deleted again.
    """
    with world.metadata.unit_of_work() as work:
        try:
            image = work.images.get(image_id)
            if not is_restorable(image) or image.updated_at > before:
                return ()
            work.images.save(image, expect_status={ImageStatus.PENDING_DELETE})
            condemned = [
                replace(row, status=LocationStatus.PENDING_DELETE) for row in image.locations
            ]
            for row in condemned:
                work.locations.save(row, expect_status=LocationStatus.ACTIVE)
        except (ImageNotFound, Conflict):
            return ()
        work.commit()
    return condemned
