# SPDX-License-Identifier: Apache-2.0
"""Quotas of projects: refusing what would go beyond a limit. Sums are kept by metadata drivers.

They are exact. A use case asks what is allowed before its transaction (that may take time), makes
its changes, and then looks whether they are still within the limits: since whoever has changed a
project's usage keeps others from raising it until the end, what is within them here stays so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from glancekit.core.contracts.limits import LimitSource
from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.errors import Conflict, LimitExceeded
from glancekit.core.model.image import Location
from glancekit.core.quota import MIB, STAGING, Quota
from glancekit.core.transfer import Observer
from glancekit.services.world import Settings

LEAST_STEP = MIB
MOST_STEP = 64 * MIB

SHARE = 16
"""An upload of unknown size takes this part of what is free at most, so that many of them get to
the edge of a limit together instead of reserving it away from one another."""


class Limited(Protocol):
    """What quotas work with: records, who knows limits, and what the operator decided."""

    @property
    def metadata(self) -> MetadataDriver:
        """Where records live."""
        ...

    @property
    def limits(self) -> LimitSource | None:
        """What projects may use, None where nobody is limited."""
        ...

    @property
    def settings(self) -> Settings:
        """What the operator decided."""
        ...


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a project may use, in bytes and images. What has no limit is not in it."""

    project_id: str | None
    limits: Mapping[Quota, int]

    def require(self, work: UnitOfWork, owner: str | None, *quotas: Quota) -> None:
        """Hold against the limits what a unit of work has changed so far.

        :param owner: whose image it is, as this unit of work has read it.
        :raises LimitExceeded: when a limit is exceeded; nothing may be committed then.
        :raises Conflict: when the image was given to another project since the limits were asked.
        """
        if self is UNLIMITED:
            return
        if owner != self.project_id:
            raise Conflict("The image was given to another project meanwhile; try again")
        limited = [quota for quota in quotas if quota in self.limits]
        if owner is None or not limited:
            return
        usage = work.quotas.usage(owner)
        for quota in limited:
            limit, asked = self.limits[quota], usage.of(quota)
            if asked > limit:
                raise LimitExceeded(what=quota.words, limit=limit, asked=asked)


UNLIMITED = Allowance(None, MappingProxyType({}))
"""What there is where nobody is limited."""


def allowance(world: Limited, project_id: str | None) -> Allowance:
    """Return what a project may use. Not to be called inside a unit of work.

    :raises Unavailable: when the limits cannot be known now.
    """
    cap = world.settings.user_storage_quota
    if world.limits is None and not cap:
        return UNLIMITED
    if project_id is None:
        return Allowance(None, {})
    known = world.limits.limits(project_id) if world.limits is not None else {}
    limits = {quota: limit * quota.unit for quota, limit in known.items()}
    if cap:
        size = Quota.IMAGE_SIZE_TOTAL
        limits[size] = min(cap, limits.get(size, cap))
    return Allowance(project_id, limits)


def allowance_for(world: Limited, image_id: str) -> Allowance:
    """Return what the project of an image may use. Not to be called inside a unit of work.

    :raises ImageNotFound: when there is no such image.
    :raises Unavailable: when the limits cannot be known now.
    """
    if world.limits is None and not world.settings.user_storage_quota:
        return UNLIMITED
    with world.metadata.unit_of_work(read_only=True) as work:
        owner = work.images.get(image_id).owner
    return allowance(world, owner)


def reserve(
    work: UnitOfWork, allowed: Allowance, owner: str | None, writing: Location, size: int | None
) -> None:
    """Let a copy that is about to be written count, as far as its size is known.

    Its image is among those that are being uploaded already.

    :raises LimitExceeded: when that is too much.
    """
    if size:
        work.quotas.reserve(writing, size)
    allowed.require(work, owner, Quota.IMAGE_COUNT_UPLOADING, _of_bytes(writing))


def observers(
    world: Limited, allowed: Allowance, writing: Location, size: int | None
) -> Sequence[Observer]:
    """Return who watches the bytes of a copy that is being written: nobody when their number is
    known or does not matter."""
    if size is not None or _of_bytes(writing) not in allowed.limits:
        return ()
    return (StepwiseReservation(world, allowed, writing),)


class StepwiseReservation:
    """Reserves for a copy of unknown size, always before its bytes are written.

    Each step is as large as all before it, so that a large image takes few. What is too much is
    returned with the reservation when the copy is active, or given up.
    """

    def __init__(self, world: Limited, allowed: Allowance, writing: Location) -> None:
        self._world = world
        self._allowed = allowed
        self._writing = writing
        self._received = 0
        self._reserved = 0

    def feed(self, chunk: bytes, /) -> None:
        """See the next bytes.

        :raises LimitExceeded: when they are too many.
        """
        self._received += len(chunk)
        if self._received > self._reserved:
            self._reserve_more()

    def finish(self) -> None:
        """Know that all bytes were seen."""

    def _reserve_more(self) -> None:
        quota, owner = _of_bytes(self._writing), self._allowed.project_id
        assert owner is not None  # who has no project has no limit
        with self._world.metadata.unit_of_work() as work:
            work.quotas.reserve(self._writing, self._received)
            self._allowed.require(work, owner, quota)
            free = self._allowed.limits[quota] - work.quotas.usage(owner).of(quota)
            ahead = min(max(self._received, LEAST_STEP), MOST_STEP, free // SHARE)
            if ahead:
                work.quotas.reserve(self._writing, self._received + ahead)
            work.commit()
        self._reserved = self._received + ahead


def _of_bytes(writing: Location) -> Quota:
    if writing.store.startswith(STAGING):
        return Quota.IMAGE_STAGE_TOTAL
    return Quota.IMAGE_SIZE_TOTAL
