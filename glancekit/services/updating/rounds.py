# SPDX-License-Identifier: Apache-2.0
"""Going through all images for a duty: so many in one run, from where the last run stopped.

What is wrong with an image, and what is to be done, is the duty's business. A duty decides by what
it reads in the transaction in which it writes, so that it may be cut off at any line, done twice,
and done while somebody else changes the image.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import (
    Conflict,
    Duplicate,
    GlancekitError,
    ImageNotFound,
    StoreError,
    StoreNotFound,
)
from glancekit.core.model.image import Image
from glancekit.core.model.status import ImageStatus
from glancekit.services.importing.records import LOCK
from glancekit.services.notices import about
from glancekit.services.world import World

log = logging.getLogger(__name__)

BATCH = 200
"""Images read at a time; a run that is cut off looks at so many again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Something to be brought up to date in one image after the other.

    ``due`` says by the record alone what is to be done and why, None when nothing is. ``do`` tries
    it and returns whether something was changed. What it raises of the errors that passing
    conditions explain is logged, and it is tried again in the next round.
    """

    name: str
    due: Callable[[World, Image], str | None]
    do: Callable[[World, Image], bool]
    statuses: frozenset[ImageStatus] = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})

    def reason(self, world: World, image: Image) -> str | None:
        """Say what is to be done now; an image that an import holds is left to it."""
        if image.status not in self.statuses or LOCK in image.properties:
            return None
        return self.due(world, image)


@dataclass(slots=True)
class Tally:
    """What a run did."""

    looked: int = 0
    changed: int = 0
    failed: int = 0
    _told: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        text = f"looked at {self.looked} images, brought {self.changed} up to date"
        return f"{text}, {self.failed} failed" if self.failed else text

    def fail(self, duty: Duty, image: Image, error: GlancekitError) -> None:
        """Note a failure; the first of each kind is in the log."""
        self.failed += 1
        kind = f"{type(error).__name__} {error.facts.get('store', '')}"
        level = logging.DEBUG if kind in self._told else logging.WARNING
        self._told.add(kind)
        log.log(level, "%s: image %s will be tried again: %s", duty.name, image.id, error)


def go_round(world: World, duty: Duty) -> Tally:
    """Look at as many images as one run may, and do what is due."""
    tally = Tally()
    while tally.looked < world.updating.images_per_round and not _is_stopping(world):
        page, is_last = _next_page(world, duty, world.updating.images_per_round - tally.looked)
        for image in page:
            if _is_stopping(world):
                return tally
            tally.looked += 1
            if duty.reason(world, image) is not None:
                _attempt(world, duty, image, tally)
        _put_mark(world, duty, None if is_last else page[-1].id)
        if is_last:
            break
    return tally


def explain(world: World, duty: Duty) -> Iterator[str]:
    """Say what would be done to each image, all of them, and do nothing."""
    last: str | None = None
    while True:
        with world.metadata.unit_of_work(read_only=True) as work:
            page = work.images.walk(limit=BATCH, after=last)
        for image in page:
            reason = duty.reason(world, image)
            if reason is not None:
                yield f"image {image.id}: {reason}"
        if len(page) < BATCH:
            return
        last = page[-1].id


def rewrite(
    world: World, image_id: str, change: Callable[[UnitOfWork, Image], Image | None]
) -> bool:
    """Let ``change`` make another image of the one that is stored now, and keep that.

    What it returns is kept with an event; with None everything stays as it is.
    """
    with world.metadata.unit_of_work() as work:
        try:
            image = work.images.get(image_id)
        except ImageNotFound:
            return False
        changed = None if LOCK in image.properties else change(work, image)
        if changed is None:
            return False
        work.images.save(changed, expect_status={image.status})
        work.events.append(about(work.images.get(image_id), "image.update", None))
        work.commit()
    return True


def _next_page(world: World, duty: Duty, most: int) -> tuple[list[Image], bool]:
    """Return the images behind the mark, and whether these are the last ones."""
    limit = min(BATCH, most)
    with world.metadata.unit_of_work(read_only=True) as work:
        page = list(work.images.walk(limit=limit, after=work.marks.get(_mark(duty))))
    return page, len(page) < limit


def _put_mark(world: World, duty: Duty, image_id: str | None) -> None:
    with world.metadata.unit_of_work() as work:
        if work.marks.get(_mark(duty)) != image_id:
            work.marks.put(_mark(duty), image_id)
            work.commit()


def _mark(duty: Duty) -> str:
    return f"updater {duty.name}"


def _attempt(world: World, duty: Duty, image: Image, tally: Tally) -> None:
    try:
        done = duty.do(world, image)
    except (Conflict, Duplicate, ImageNotFound) as error:
        log.info("%s: image %s was changed meanwhile: %s", duty.name, image.id, error)
    except (StoreError, StoreNotFound) as error:
        tally.fail(duty, image, error)
    else:
        tally.changed += done


def _is_stopping(world: World) -> bool:
    return world.background.stopping.is_set()
