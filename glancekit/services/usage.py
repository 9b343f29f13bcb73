# SPDX-License-Identifier: Apache-2.0
"""What a project uses and may use, for people to look at, and the recount for operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from glancekit.core.contracts.metadata import MetadataDriver
from glancekit.core.errors import Forbidden
from glancekit.core.model.identity import Identity
from glancekit.core.quota import ProjectUsage, Quota, Recount
from glancekit.services.quotas import UNLIMITED, Allowance, allowance
from glancekit.services.world import World

NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class Used:
    """Usage and limit in the quota's unit; sizes are whole MiB, what is begun does not count."""

    usage: int
    limit: int


def of_caller(world: World, caller: Identity) -> Mapping[Quota, Used]:
    """Return what the caller's project uses of each quota; nothing where nobody is limited.

    :raises Forbidden: when the caller has no project.
    :raises Unavailable: when the limits cannot be known now.
    """
    if caller.project_id is None:
        raise Forbidden(action="see the usage of a project without one; authenticate for one")
    allowed = allowance(world, caller.project_id)
    if allowed is UNLIMITED:
        return {}
    with world.metadata.unit_of_work(read_only=True) as work:
        usage = work.quotas.usage(caller.project_id)
    return against(usage, allowed)


def against(usage: ProjectUsage, allowed: Allowance) -> Mapping[Quota, Used]:
    """Return a usage beside its limits."""
    return {
        quota: Used(
            usage=usage.of(quota) // quota.unit,
            limit=allowed.limits.get(quota, NO_LIMIT * quota.unit) // quota.unit,
        )
        for quota in Quota
    }


def recount(metadata: MetadataDriver, project_id: str | None = None) -> Iterator[Recount]:
    """Count one project's usage anew, or that of all, and keep what is true.

    Each is counted in a transaction of its own, while uploads go on.
    """
    if project_id is None:
        with metadata.unit_of_work(read_only=True) as work:
            projects = work.quotas.projects()
    else:
        projects = [project_id]
    for project in projects:
        with metadata.unit_of_work() as work:
            counted = work.quotas.recount(project)
            work.commit()
        yield counted
