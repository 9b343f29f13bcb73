# SPDX-License-Identifier: Apache-2.0
"""What else has to be as quick in a large database as in a small one. Pages are cases.py's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from glancekit.plugin import (
    Location,
    LocationStatus,
    UnitOfWork,
)

Asked = Callable[[UnitOfWork], int]

_OWNER = "many"


def _show(image_id: str) -> Asked:
    return lambda work: int(bool(work.images.get(image_id)))


def _members(image_id: str) -> Asked:
    return lambda work: len(work.members.of_image(image_id))


def _usage(image_id: str) -> Asked:
    return lambda work: int(work.quotas.usage(_OWNER).images > 0)


def _reserve(image_id: str) -> Asked:
    def reserve(work: UnitOfWork) -> int:
        """Find room for a copy; nothing of it is committed."""
        copy = Location(
            url="",
            image_id=image_id,
            store="benchmark",
            status=LocationStatus.WRITING,
            holder="benchmark",
        )
        work.quotas.reserve(work.locations.add(copy), 1 << 30)
        return int(work.quotas.usage(_OWNER).images > 0)

    return reserve


DEEDS: Mapping[str, Callable[[str], Asked]] = MappingProxyType(
    {
        "an image": _show,
        "members of an image": _members,
        "usage of a project": _usage,
        "reservation for a copy": _reserve,
    }
)
"""By name, for an image. What writes is called so in ``WRITING``."""

WRITING = frozenset({"reservation for a copy"})
