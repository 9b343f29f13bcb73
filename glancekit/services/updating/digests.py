# SPDX-License-Identifier: Apache-2.0
"""Images whose digests nobody knows: adopted ones of old, or registered where none were wanted.

Reading them is the business of ``services/digests``: here they are only given the task, a few at
a time, so that neither the tasks nor what is read for them keep anybody waiting.
"""

from __future__ import annotations

from glancekit.core.model.image import Image, Location
from glancekit.core.model.task import TaskType
from glancekit.services.digests import go_on, lacks_digests, own_task
from glancekit.services.tasks import is_own
from glancekit.services.updating.rounds import Duty, go_round
from glancekit.services.world import World

MOST = 10
"""Tasks that may wait at a time."""


def readable(world: World, image: Image) -> Location | None:
    """Return the first copy that can tell of the data; what audits found lost tells of itself."""
    able = (c for c in image.locations if c.store in world.stores.by_id and not c.is_lost)
    return next(able, None)


def _due(world: World, image: Image) -> str | None:
    if not world.settings.do_secure_hash or not lacks_digests(image):
        return None
    copy = readable(world, image)
    if copy is None:
        return None
    missing = "checksum" if image.checksum is None else "os_hash_value"
    return f"its {missing} is not known; its data in store {copy.store} will be read"


def _do(world: World, image: Image) -> bool:
    """Write down the task, unless there is one: one that failed holds its image for a while."""
    with world.metadata.unit_of_work() as work:
        waiting = [
            task
            for task in work.tasks.unfinished(TaskType.LOCATION_IMPORT, limit=MOST * MOST)
            if is_own(task)
        ]
        there = [task.type for task in work.tasks.of_image(image.id)]
        if len(waiting) >= MOST or TaskType.LOCATION_IMPORT in there:
            return False
        stored = work.images.get(image.id)
        copy = readable(world, stored)
        if copy is None or DIGESTS.reason(world, stored) is None:
            return False
        work.tasks.add(own_task(stored, copy))
        work.commit()
    return True


DIGESTS = Duty(name="digests", due=_due, do=_do)
"""Has data read of which not all digests are known."""


def find_out(world: World) -> str:
    """Look for images that lack digests, and read what waits to be read."""
    tally = go_round(world, DIGESTS)
    return f"looked at {tally.looked} images, read {go_on(world, own=True)}"
