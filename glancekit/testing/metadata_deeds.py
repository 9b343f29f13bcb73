# SPDX-License-Identifier: Apache-2.0
"""Deeds of the metadata suite, each a unit of work of its own. No tests here."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

from glancekit.core.contracts.metadata import MetadataDriver, UnitOfWork
from glancekit.core.model.events import Event
from glancekit.core.model.identity import Viewer
from glancekit.core.model.image import Image, Location, Member, MemberStatus
from glancekit.core.model.listing import ImageQuery
from glancekit.core.model.status import ImageStatus
from glancekit.testing.metadata_samples import ME, MORNING, OTHER

TURNS = 12
"""How often ``count_up`` counts."""


def an_image(**facts: Any) -> Image:
    """Return a new image of ``me`` that differs from others where a test says so only."""
    return Image(**{"id": str(uuid.uuid4()), "owner": ME, **facts})


def viewer_of(project: str | None, *, is_admin: bool = False) -> Viewer:
    """Return who looks for a project."""
    return Viewer(project_id=project, is_admin=is_admin)


def fill(work: UnitOfWork, image: Image) -> None:
    """Write one of each kind, all about an image."""
    work.images.add(image)
    work.locations.add(Location(url="u", store="s", image_id=image.id))
    work.members.add(Member(image_id=image.id, project_id=OTHER))
    work.events.append(Event(type="image.create", subject=image.id))
    work.leases.renew("holder", MORNING + timedelta(days=1))


def keep(driver: MetadataDriver, image: Image) -> Image:
    """Add an image, and return it as it is kept."""
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    return get(driver, image.id)


def get(driver: MetadataDriver, image_id: str) -> Image:
    """Return an image as it is kept."""
    with driver.unit_of_work(read_only=True) as work:
        return work.images.get(image_id)


def save(driver: MetadataDriver, image: Image) -> Image:
    """Save an image over whatever is kept of it."""
    with driver.unit_of_work() as work:
        current = work.images.get(image.id)
        wanted = replace(image, version=current.version)
        saved = work.images.save(wanted, expect_status={current.status})
        work.commit()
        return saved


def delete(driver: MetadataDriver, image: Image) -> None:
    """Delete an image."""
    save(driver, replace(image, status=ImageStatus.DELETED))


def find(driver: MetadataDriver, **query: Any) -> list[Image]:
    """Return one page of images."""
    with driver.unit_of_work(read_only=True) as work:
        return list(work.images.find(ImageQuery(**query)).images)


def share(driver: MetadataDriver, image: Image, project: str, status: MemberStatus) -> None:
    """Make a project a member of an image."""
    with driver.unit_of_work() as work:
        work.members.add(Member(image_id=image.id, project_id=project, status=status))
        work.commit()


def at_once(*deeds: Callable[[], object]) -> None:
    """Do all in threads of their own, begun together; raise what the first to fail raised."""
    barrier = threading.Barrier(len(deeds))

    def run(deed: Callable[[], object]) -> None:
        barrier.wait(30)
        deed()

    with ThreadPoolExecutor(len(deeds)) as threads:
        for running in [threads.submit(run, deed) for deed in deeds]:
            running.result()


def count_up(driver: MetadataDriver, image_id: str) -> None:
    """Add to a number of an image, ``TURNS`` times, each by itself."""
    for _ in range(TURNS):
        with driver.unit_of_work() as work:
            image = work.images.get(image_id)
            counted = replace(image, min_ram=image.min_ram + 1)
            work.images.save(counted, expect_status={image.status})
            work.commit()
