# SPDX-License-Identifier: Apache-2.0
"""Reading data that was registered by its location, to know its digests: the task location_import.

An image whose digest was given stays ``importing`` until the data turns out to have it; any other
is active meanwhile. The task's row says all there is to do, so whoever finds it can go on with it.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Protocol

from glancekit.core.background import Background
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import (
    BlobNotFound,
    Conflict,
    ImageNotFound,
    Invalid,
    LimitExceeded,
    MetadataError,
    StoreError,
    StoreNotFound,
    TaskNotFound,
    Unavailable,
)
from glancekit.core.lease import Lease, is_gone
from glancekit.core.model.changes import NewLocation
from glancekit.core.model.image import Image, Location, now
from glancekit.core.model.status import ImageStatus
from glancekit.core.model.task import UNFINISHED, Task, TaskStatus, TaskType
from glancekit.core.quota import Quota
from glancekit.core.stores import Stores
from glancekit.core.stream import ByteStream
from glancekit.core.throttle import Throttle
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.services.importing.records import LOCK
from glancekit.services.notices import about, about_task
from glancekit.services.quotas import allowance_for
from glancekit.services.tasks import ended, is_own
from glancekit.services.world import Settings, Updating

log = logging.getLogger(__name__)

BATCH = 100
"""Tasks looked at in one go."""

PAUSE = timedelta(seconds=30)
"""How long a store that failed is left alone."""

GIVE_UP = timedelta(hours=1)
"""How long a store may fail before the task does."""

_FINAL = (BlobNotFound, Invalid, LimitExceeded)
"""What will be no better next time."""


class Reader(Protocol):
    """What reading for digests works with."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...

    @property
    def stores(self) -> Stores:
        """Where bytes live."""
        ...

    @property
    def lease(self) -> Lease:
        """By whose life others see whether this process is still at it."""
        ...

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        ...

    @property
    def updating(self) -> Updating:
        """How much may be done beside what callers ask for."""
        ...

    @property
    def limits(self) -> LimitSource | None:
        """What projects may use, None where nobody is limited."""
        ...

    @property
    def background(self) -> Background:
        """Threads to read in."""
        ...


def task_input(location: Location, new: NewLocation) -> dict[str, object]:
    """Return all that a task has to know, under upstream's names where it has them."""
    said = {"os_hash_algo": new.hash_algo, "os_hash_value": new.hash_value}
    return {
        "image_id": location.image_id,
        "loc_url": location.url,
        "metadata": dict(location.metadata),
        "store": location.store,
        "size": location.size,
        "validation_data": said if new.hash_value else {},
    }


def begin(world: Reader, task: Task) -> None:
    """Start on a task that this process holds; where no thread is free, it is left to others."""
    name = f"digests of image {task.image_id}"
    if not world.background.start(name, partial(run, world, task)):
        _put_down(world, task, "")


def go_on(world: Reader, *, own: bool = False) -> int:
    """Take over what dead processes left and what could not be done before; return how many.

    :param own: of those that the service itself wants, and not of those that callers wait for.
    """
    with world.metadata.unit_of_work(read_only=True) as work:
        found = work.tasks.unfinished(TaskType.LOCATION_IMPORT, limit=BATCH)
        alive = work.leases.holders(alive_at=now())
    count = 0
    for task in found:
        if world.background.stopping.is_set():
            break
        free = is_own(task) == own and _is_free(task, alive)
        mine = _claim(world, task) if free else None
        if mine is not None:
            run(world, mine)
            count += 1
    return count


def _is_free(task: Task, alive: frozenset[str]) -> bool:
    if task.holder is None:
        return not task.message or task.updated_at < now() - PAUSE
    return task.holder not in alive or is_gone(task.holder)


def _claim(world: Reader, task: Task) -> Task | None:
    """Make a task this process's own, unless somebody else was quicker."""
    with world.metadata.unit_of_work() as work:
        try:
            stored = work.tasks.get(task.id)
        except TaskNotFound:
            return None
        if stored.holder != task.holder or stored.status not in UNFINISHED:
            return None
        mine = replace(stored, status=TaskStatus.PROCESSING, holder=world.lease.holder)
        claimed = work.tasks.save(mine, expect_status={stored.status})
        work.commit()
    return claimed


def run(world: Reader, task: Task) -> None:
    """Do a task that this process holds, to its end or as far as it goes today."""
    try:
        _settle(world, task)
    except MetadataError as error:
        log.warning("could not write down the digests of image %s: %s", task.image_id, error)
        world.lease.later(partial(_put_down, world, task, str(error)))


def _settle(world: Reader, task: Task) -> None:
    try:
        receipt = _read(world, task)
    except Unavailable:
        _put_down(world, task, "")  # this process is stopping; another goes on at once
    except _FINAL as error:
        _fail(world, task, str(error))
    except (StoreError, StoreNotFound) as error:
        if task.created_at < now() - GIVE_UP:
            _fail(world, task, str(error))
        else:
            log.warning("cannot read image %s, will try again: %s", task.image_id, error)
            _put_down(world, task, str(error))
    else:
        _finish(world, task, receipt)


def _read(world: Reader, task: Task) -> Receipt:
    """Read the data from its first byte to its last."""
    location, expected = _location(task), task.input["validation_data"]
    plan = TransferPlan(
        declared_size=location.size,
        size_cap=world.settings.image_size_cap,
        hash_algo=expected.get("os_hash_algo") or world.settings.hashing_algorithm,
        expected_hash=expected.get("os_hash_value"),
        expected_checksum=expected.get("checksum"),
        observers=[_pace(world, task)],
    )

    def pass_by(stream: ByteStream) -> Location:
        for _ in stream:
            pass
        return location

    # Opened without its size, or what came to be longer would be cut instead of found out.
    with world.stores.get(location.store).open(replace(location, size=None)) as source:
        return transfer(source, plan, pass_by)[1]


def _pace(world: Reader, task: Task) -> Throttle:
    rate = world.updating.bytes_per_second if is_own(task) else 0
    return Throttle(rate, world.background.stopping)


def own_task(image: Image, location: Location) -> Task:
    """Return a task that finds out the digests that an active image lacks, not yet kept.

    What is known of its data is what they must turn out to be.
    """
    said = {
        "os_hash_algo": image.os_hash_algo if image.os_hash_value else None,
        "os_hash_value": image.os_hash_value,
        "checksum": image.checksum,
    }
    known = {name: value for name, value in said.items() if value is not None}
    given = task_input(location, NewLocation(url=location.url))
    return Task(
        id=str(uuid.uuid4()),
        type=TaskType.LOCATION_IMPORT,
        owner=image.owner,
        image_id=image.id,
        input={**given, "validation_data": known, "own": True},
    )


def _location(task: Task) -> Location:
    return Location(
        url=task.input["loc_url"],
        metadata=task.input["metadata"],
        store=task.input["store"],
        size=task.input["size"],
        image_id=task.image_id or "",
    )


def _finish(world: Reader, task: Task, receipt: Receipt) -> None:
    """Write down the digests; an image that waited for them becomes active in the same commit."""
    image_id = task.image_id or ""
    try:
        allowed = allowance_for(world, image_id)
        with world.metadata.unit_of_work() as work:
            if not _is_mine(work, task):
                return
            image = work.images.get(image_id)
            _complete(work, image, task, receipt)
            if image.size is None:  # what is counted already is not refused any more
                allowed.require(work, image.owner, Quota.IMAGE_SIZE_TOTAL)
            _end(world, work, task, TaskStatus.SUCCESS)
            work.commit()
    except (ImageNotFound, Conflict, LimitExceeded) as error:
        _fail(world, task, str(error))
    except Unavailable as error:
        _put_down(world, task, str(error))
    else:
        log.info("read image %s for its digests", task.image_id)


def _complete(work: UnitOfWork, image: Image, task: Task, receipt: Receipt) -> None:
    """Give an image what was found, if it is still the image that was read."""
    known = replace(
        image,
        size=receipt.size,
        checksum=receipt.checksum,
        os_hash_algo=receipt.hash_algo,
        os_hash_value=receipt.hash_value,
    )
    if image.status is ImageStatus.IMPORTING:
        work.locations.add(_location(task))
        work.images.save(
            replace(known, status=ImageStatus.ACTIVE), expect_status={ImageStatus.IMPORTING}
        )
        work.events.append(about(work.images.get(image.id), "image.activate", None))
        return
    if LOCK in image.properties:
        raise Unavailable(f"Image {image.id} is being imported")
    found = {"os_hash_value": receipt.hash_value, "checksum": receipt.checksum}
    differs = any(getattr(image, name) not in (None, value) for name, value in found.items())
    if differs or not lacks_digests(image) or task.input["loc_url"] not in _urls(image):
        raise Conflict(f"The data of image {image.id} was changed meanwhile")
    work.events.append(
        about(work.images.save(known, expect_status={image.status}), "image.update", None)
    )


def lacks_digests(image: Image) -> bool:
    """Say whether not all is known of an image's data that an upload would have found out."""
    return image.checksum is None or image.os_hash_value is None


def _urls(image: Image) -> set[str]:
    return {location.url for location in image.locations}


def _is_mine(work: UnitOfWork, task: Task) -> bool:
    try:
        stored = work.tasks.get(task.id)
    except TaskNotFound:
        return False
    return (stored.holder, stored.status) == (task.holder, task.status)


def _end(
    world: Reader, work: UnitOfWork, task: Task, status: TaskStatus, message: str = ""
) -> None:
    over = ended(task, status, message, hours=world.settings.task_time_to_live)
    saved = work.tasks.save(over, expect_status={task.status})
    if not is_own(task):
        work.events.append(about_task(saved, f"task.{status.value}"))


def _fail(world: Reader, task: Task, reason: str) -> None:
    """Let the task end in failure; an image that waited for it can be given its data again."""
    with world.metadata.unit_of_work() as work:
        if not _is_mine(work, task):
            return
        _end(world, work, task, TaskStatus.FAILURE, reason)
        _back_to_queued(work, task.image_id or "")
        work.commit()
    log.warning("the data of image %s could not be verified: %s", task.image_id, reason)


def _back_to_queued(work: UnitOfWork, image_id: str) -> None:
    try:
        image = work.images.get(image_id)
    except ImageNotFound:
        return  # deleted meanwhile; there is nothing to put back
    if image.status is ImageStatus.IMPORTING:
        queued = replace(image, status=ImageStatus.QUEUED, size=None, virtual_size=None)
        saved = work.images.save(queued, expect_status={ImageStatus.IMPORTING})
        work.events.append(about(saved, "image.update", None))


def _put_down(world: Reader, task: Task, reason: str) -> None:
    """Leave a task to whoever looks next; nothing is lost when not even that can be written."""
    try:
        with world.metadata.unit_of_work() as work:
            if _is_mine(work, task):
                left = replace(task, holder=None, message=reason)
                work.tasks.save(left, expect_status={task.status})
                work.commit()
    except MetadataError as error:
        log.warning("could not hand on the digests of image %s: %s", task.image_id, error)
        world.lease.later(partial(_put_down, world, task, reason))
