# SPDX-License-Identifier: Apache-2.0
"""Keeping placement rules true: copies are made where they lack, and removed where they may go.

What has to happen to an image is the business of ``planning``, how a copy is made of ``copying``.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from glancekit.core.contracts.store import SupportsDelete
from glancekit.core.errors import (
    BlobInUse,
    BlobUnavailable,
    Conflict,
    GlancekitError,
    ImageNotFound,
    LimitExceeded,
    MetadataError,
    NotFound,
    StoreDenied,
    StoreError,
    StoreFull,
    Unavailable,
)
from glancekit.core.model.image import Image
from glancekit.core.model.listing import ImageQuery, SortKey
from glancekit.core.model.status import LocationStatus
from glancekit.core.stores import Store
from glancekit.services import acting
from glancekit.services.importing.records import LOCK
from glancekit.services.keeping.copying import copy_to, good_copies
from glancekit.services.keeping.examining import READABLE
from glancekit.services.keeping.planning import Action, Condition, Step, plan
from glancekit.services.notices import about_copy
from glancekit.services.stores import remove_condemned
from glancekit.services.world import World

log = logging.getLogger(__name__)

PAGE = 100
"""Images looked at in one go."""

LOOK = 5.0
"""Seconds after which it is looked again how the stores are."""


class Keeper:
    """Rounds over all images, and since when stores have been away."""

    def __init__(self, world: World) -> None:
        self._settings = world.placement
        # Copies for the rules have a bound of their own.
        own = replace(world.auditing, throttle=world.placement.throttle)
        self._world = replace(world, auditing=own)
        self._away_since: dict[str, float] = {}
        self._looked = -LOOK
        self._conditions: dict[str, Condition] = {}
        self._failing: set[str] = set()

    def run(self) -> str | None:
        """Make the rules true, image by image; None when nothing had to be done.

        :raises MetadataError: when records cannot be read or written.
        :raises Unavailable: when the process is stopping.
        """
        if not self._settings.rules():
            return None
        self._failing.clear()
        done: Counter[str] = Counter()
        with ThreadPoolExecutor(self._settings.parallel, "placement") as pool:
            for images in _pages(self._world):
                done.update(word for words in pool.map(self._keep, images) for word in words)
        return ", ".join(f"{count} {what}" for what, count in done.items()) or None

    def explain(self) -> Iterator[str]:
        """Say what a run would do, doing nothing."""
        if not self._settings.rules():
            return
        for images in _pages(self._world):
            for image in images:
                for step in self.plan(image):
                    if step.action in (Action.ADD, Action.REMOVE, Action.WAIT):
                        yield f"image {image.id}, store {step.store}: {step.action}: {step.reason}"

    def plan(self, image: Image) -> tuple[Step, ...]:
        """Return what has to happen to an image's copies."""
        return plan(self._settings.rules(), image, self.conditions())

    def conditions(self) -> Mapping[str, Condition]:
        """Return how each store is, as of a moment ago."""
        if time.monotonic() - self._looked > LOOK:
            self._conditions = {store.id: self._condition(store) for store in self._world.stores}
            self._looked = time.monotonic()
        return self._conditions

    def _condition(self, store: Store) -> Condition:
        """Ask a store how it is. One that is full, refuses, or has a part away is no lost one."""
        refusal: StoreError | None = None
        try:
            store.check()
        except (BlobUnavailable, StoreDenied, StoreFull) as error:
            refusal = error
        except StoreError as error:
            return self._away(store, error)
        self._away_since.pop(store.id, None)
        gives = (
            not store.read_only
            and store.supports(SupportsDelete)
            and not isinstance(refusal, StoreDenied)
        )
        if store.draining:
            why = "it is being drained"
            return Condition(holds=False, takes=False, gives=gives, is_drained=True, why=why)
        if refusal is not None:
            return Condition(holds=True, takes=False, gives=gives, why=str(refusal))
        why = "" if store.is_writable else "nothing can be added to it"
        return Condition(holds=True, takes=store.is_writable, gives=gives, why=why)

    def _away(self, store: Store, error: StoreError) -> Condition:
        """Return how a store is that did not answer; one that was away for long counts as lost."""
        since = self._away_since.setdefault(store.id, time.monotonic())
        is_lost = time.monotonic() - since >= self._settings.lost_after
        why = f"it is {'lost' if is_lost else 'away'}: {error}"
        drained = store.draining
        holds = not is_lost and not drained
        return Condition(holds=holds, takes=False, gives=False, is_drained=drained, why=why)

    def _keep(self, image: Image) -> list[str]:
        """Do what has to be done to one image; return what was, in words to be counted."""
        if image.status not in READABLE or LOCK in image.properties:
            return []
        done = []
        for step in self.plan(image):
            deed = _DEEDS.get(step.action)
            if deed is None or step.store in self._failing:
                continue
            try:
                done.append(deed(self._world, image, step))
            except (MetadataError, Unavailable):
                raise
            except (NotFound, Conflict, LimitExceeded, BlobInUse) as error:
                log.info("image %s, store %s: %s", image.id, step.store, error)
                done.append("not possible")
            except GlancekitError as error:
                self._failing.add(step.store)
                log.warning(
                    "image %s, store %s: not %s, the store is left alone for this round: %s",
                    *(image.id, step.store, step.action, error),
                )
                done.append("failed")
        return done


def _pages(world: World) -> Iterator[tuple[Image, ...]]:
    """Yield all images, the oldest first; what is made meanwhile comes at the end."""
    query = ImageQuery(
        limit=PAGE,
        sort=(SortKey("created_at", descending=False),),
        all_visibilities=True,
        os_hidden=None,
    )
    while True:
        try:
            with world.metadata.unit_of_work(read_only=True) as work:
                page = work.images.find(query)
        except ImageNotFound:  # the marker was deleted; the next round sees the rest
            return
        yield tuple(page.images)
        if not page.is_full:
            return
        query = replace(query, marker=page.images[-1].id)


def _add(world: World, image: Image, step: Step) -> str:
    copy_to(world, image.id, step.store)
    return "added"


def _remove(world: World, image: Image, step: Step) -> str:
    """Remove a copy that no rule asks for, once another was seen to be good.

    :raises StoreError: when there is no other good one that can be read.
    :raises BlobInUse: when others depend on it; it stays.
    """
    going = next((copy for copy in image.locations if copy.store == step.store), None)
    others = [one for one in image.locations if one.store != step.store]
    if going is None or any(one.url == going.url for one in others):
        raise Conflict("its bytes are those of another copy, too")
    good = next(good_copies(world, replace(image, locations=tuple(others))), None)
    if good is None or world.stores.get(good.store).draining:
        raise Conflict("there is no other good copy that stays")
    with world.metadata.unit_of_work() as work:
        stored = work.images.get(image.id)
        if good not in stored.locations or going not in stored.locations:
            raise Conflict("its copies were changed meanwhile")
        condemned = replace(going, status=LocationStatus.PENDING_DELETE, holder=world.lease.holder)
        work.locations.save(condemned, expect_status=LocationStatus.ACTIVE)
        work.images.save(stored, expect_status={stored.status})
        work.events.append(about_copy(stored, "image.copy.removed", going))
        work.commit()
    remove_condemned(acting.as_service(world, image.owner), [condemned])
    log.info("image %s: removed the copy in store %s: %s", image.id, step.store, step.reason)
    return "removed"


_DEEDS = {Action.ADD: _add, Action.REMOVE: _remove}
