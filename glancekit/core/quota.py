# SPDX-License-Identifier: Apache-2.0
"""What a project's images count: the names of the quotas, and the one rule of what an image uses.

How sums are kept is the business of metadata drivers, what is refused that of services/quotas.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from glancekit.core.model.status import ImageStatus, LocationStatus

MIB = 1 << 20

STAGING = "os_glance_"
"""How the ids of the service's own stores begin: bytes in these are staged, not stored."""


class Quota(StrEnum):
    """What is limited, by the names that Keystone's unified limits have for it."""

    IMAGE_SIZE_TOTAL = "image_size_total"
    """MiB of all copies of all images."""
    IMAGE_STAGE_TOTAL = "image_stage_total"
    """MiB on their way through staging."""
    IMAGE_COUNT_TOTAL = "image_count_total"
    IMAGE_COUNT_UPLOADING = "image_count_uploading"
    """Images whose bytes are on their way."""

    @property
    def unit(self) -> int:
        """How many bytes or images its number stands for."""
        sizes = (Quota.IMAGE_SIZE_TOTAL, Quota.IMAGE_STAGE_TOTAL)
        return MIB if self in sizes else 1

    @property
    def words(self) -> str:
        """What is counted, as a refusal names it."""
        return _WORDS[self]


_WORDS = {
    Quota.IMAGE_SIZE_TOTAL: "bytes of image data in this project",
    Quota.IMAGE_STAGE_TOTAL: "bytes of staged image data in this project",
    Quota.IMAGE_COUNT_TOTAL: "images in this project",
    Quota.IMAGE_COUNT_UPLOADING: "uploads at a time in this project",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectUsage:
    """What a project uses: bytes and images, to the last of them."""

    image_bytes: int = 0
    stage_bytes: int = 0
    images: int = 0
    uploading: int = 0

    def __add__(self, other: ProjectUsage) -> ProjectUsage:
        return ProjectUsage(
            image_bytes=self.image_bytes + other.image_bytes,
            stage_bytes=self.stage_bytes + other.stage_bytes,
            images=self.images + other.images,
            uploading=self.uploading + other.uploading,
        )

    def __sub__(self, other: ProjectUsage) -> ProjectUsage:
        return ProjectUsage(
            image_bytes=self.image_bytes - other.image_bytes,
            stage_bytes=self.stage_bytes - other.stage_bytes,
            images=self.images - other.images,
            uploading=self.uploading - other.uploading,
        )

    def of(self, quota: Quota) -> int:
        """Return what counts against a quota, in bytes or images."""
        return {
            Quota.IMAGE_SIZE_TOTAL: self.image_bytes,
            Quota.IMAGE_STAGE_TOTAL: self.stage_bytes,
            Quota.IMAGE_COUNT_TOTAL: self.images,
            Quota.IMAGE_COUNT_UPLOADING: self.uploading,
        }[quota]


NOTHING_USED = ProjectUsage()


@dataclass(frozen=True, slots=True)
class Copy:
    """A location row as far as it counts. ``reserved``: bytes that it may take once written."""

    store: str
    status: LocationStatus
    reserved: int = 0


_STAGED = (ImageStatus.UPLOADING, ImageStatus.IMPORTING)
_BUSY = (ImageStatus.SAVING, *_STAGED)


def used_by(status: ImageStatus, size: int | None, copies: Iterable[Copy]) -> ProjectUsage:
    """Return what one image that is not deleted counts for its owner.

    Every copy counts with the image's size until its row is gone, so that bytes which could not
    be removed yet still do; one being written counts with what was reserved for it.
    """
    held = staged = 0
    writing = False
    for copy in copies:
        amount = size or 0
        if copy.status is LocationStatus.WRITING:
            amount, writing = copy.reserved, True
        if not copy.store.startswith(STAGING):
            held += amount
        elif copy.status is LocationStatus.WRITING:
            staged += amount
    if status in _STAGED:
        staged += size or 0
    return ProjectUsage(
        image_bytes=held,
        stage_bytes=staged,
        images=1,
        uploading=int(writing or status in _BUSY),
    )


@dataclass(frozen=True, slots=True)
class Recount:
    """What was kept as a project's usage, and what is true."""

    project_id: str
    kept: ProjectUsage
    true: ProjectUsage

    @property
    def is_right(self) -> bool:
        """Nothing had to be mended."""
        return self.kept == self.true
