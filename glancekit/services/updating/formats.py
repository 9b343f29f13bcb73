# SPDX-License-Identifier: Apache-2.0
"""Images of which nobody knows how large the disk in them is: their data was never looked into.

So nobody knows either whether they are what they say. What they are is found out by their first
bytes, and written down; the disk_format is the owner's word, and changed only where the operator
wants that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import UnacceptableFormat, Unavailable
from glancekit.core.formats import INSPECTED, FormatInspection, Verdict
from glancekit.core.model.image import Image, Location
from glancekit.core.stream import CHUNK_SIZE
from glancekit.core.throttle import Throttle
from glancekit.services import acting
from glancekit.services.importing.records import with_properties
from glancekit.services.updating.digests import readable
from glancekit.services.updating.rounds import Duty, rewrite
from glancekit.services.world import World

DETECTED = "os_glance_detected_format"
"""What an image's data is, where that is not its disk_format, or does not say how large it is."""

PROBLEM = "os_glance_format_problem"
"""Why an image's data is not safe to open, or cannot be looked into."""

HEAD = 4 << 20
"""Bytes that tell what an image is, and how large: all formats but one have that in their head."""

_AT_ITS_END = b"KDMV"
"""How a VMDK begins, which may have that at its end."""

_DISKS = frozenset({"raw", "gpt", "iso", "luks"})
"""Formats that a raw disk may be of: what is in it is a matter of whoever boots it."""

_LONGEST = 255


@dataclass(frozen=True, slots=True)
class _Found:
    """What looking into an image's data showed."""

    detected: str | None = None
    virtual_size: int | None = None
    problem: str | None = None


def _due(world: World, image: Image) -> str | None:
    is_unknown = (
        image.virtual_size is None
        and image.container_format == "bare"
        and image.disk_format in INSPECTED
        and not {DETECTED, PROBLEM} & image.properties.keys()
    )
    if not is_unknown or not image.size or readable(world, image) is None:
        return None
    return f"its virtual size is not known; whether it is {image.disk_format} will be looked at"


def _do(world: World, image: Image) -> bool:
    copy = readable(world, image)
    if copy is None:
        return False
    try:
        found = _look(world, image, copy)
    except Unavailable:
        return False  # the process is stopping

    def change(_work: UnitOfWork, stored: Image) -> Image | None:
        was = (image.disk_format, image.container_format, image.size, image.checksum)
        now = (stored.disk_format, stored.container_format, stored.size, stored.checksum)
        if was != now or FORMATS.reason(world, stored) is None:
            return None
        return _as_found(world, stored, found)

    return rewrite(world, image.id, change)


def _look(world: World, image: Image, copy: Location) -> _Found:
    """Read as much as tells what an image is.

    :raises StoreError: when its store does not give it.
    :raises Unavailable: when the process is stopping.
    """
    try:
        verdict = _inspect(world, image, copy)
    except UnacceptableFormat as error:
        return _Found(problem=str(error)[:_LONGEST])
    return _Found(detected=verdict.detected_format, virtual_size=verdict.virtual_size)


def _inspect(world: World, image: Image, copy: Location) -> Verdict:
    """Let the inspection see the first bytes, and all others of a format that needs them."""
    settings = world.settings
    inspection = FormatInspection(
        image.disk_format,
        image.container_format,
        require_match=False,
        vmdk_allowed_types=settings.vmdk_allowed_types,
        gpt_safety_checks_nonfatal=settings.gpt_safety_checks_nonfatal,
    )
    pace = Throttle(world.updating.bytes_per_second, world.background.stopping)
    seen, begin = 0, b""
    with acting.store_of(world.stores, copy).open(copy) as source:
        while chunk := source.read(CHUNK_SIZE):
            pace.feed(chunk)
            inspection.feed(chunk)
            seen, begin = seen + len(chunk), begin or chunk[: len(_AT_ITS_END)]
            if seen >= HEAD and begin != _AT_ITS_END:
                break
    return inspection.finish(image.size or seen)


def _as_found(world: World, image: Image, found: _Found) -> Image:
    """Return the record with what was found out about its data."""
    if found.problem is not None:
        return with_properties(image, {PROBLEM: found.problem})
    fits = found.detected == image.disk_format or (
        image.disk_format == "raw" and found.detected in _DISKS
    )
    if fits:
        size = image.size if image.disk_format == "raw" else found.virtual_size
        if size is not None:
            return replace(image, virtual_size=size)
    elif world.updating.correct_disk_format and found.detected in world.settings.disk_formats:
        return replace(image, disk_format=found.detected)  # how large it is, the next round finds
    return with_properties(image, {DETECTED: found.detected})


FORMATS = Duty(name="formats", due=_due, do=_do)
"""Finds out what data is of which that is not known, and how large the disk in it."""
