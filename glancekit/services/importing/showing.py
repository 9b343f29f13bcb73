# SPDX-License-Identifier: Apache-2.0
"""Making an import's copies active, and its image if it is not.

Nothing is moved here: what is shown was written before, by ``writing``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glancekit.core.contracts.metadata import UnitOfWork
from glancekit.core.errors import Conflict
from glancekit.core.model.image import Location
from glancekit.core.model.status import ImageStatus, LocationStatus
from glancekit.core.options import STAGING_STORE
from glancekit.flows.ports import Job, Measured, Staged
from glancekit.services.importing import records
from glancekit.services.notices import about
from glancekit.services.world import World


def show_all(
    world: World, work: UnitOfWork, job: Job, staged: Staged | None, measured: Measured
) -> None:
    """Show what was written to a job's stores and is not shown yet.

    :raises Conflict: when no store took the bytes.
    """
    records.mine(world, work, job)
    rows = work.locations.of_image(job.image_id)
    wanted = [row for row in rows if row.store in job.stores]
    written = [row for row in wanted if row.status is LocationStatus.WRITING and row.url]
    shown = [row for row in wanted if row.status is LocationStatus.ACTIVE]
    if not written and not shown:
        raise Conflict(f"No store took the data of image {job.image_id}")
    if written:
        show(work, job, written, staged, measured)


def show(
    work: UnitOfWork,
    job: Job,
    rows: Sequence[Location],
    staged: Staged | None,
    measured: Measured,
) -> None:
    """Make copies active, and the image if it is not.

    :raises Conflict: when the record has got other formats than its data were inspected as.
    """
    for row in rows:
        active = replace(row, status=LocationStatus.ACTIVE, holder=None)
        work.locations.save(active, expect_status=LocationStatus.WRITING)
    before = work.images.get(job.image_id)
    image = records.moved(before, [row.store for row in rows], failed=False)
    if before.status is not ImageStatus.IMPORTING:
        work.images.save(image, expect_status={before.status})
        work.events.append(about(work.images.get(job.image_id), "image.update", None))
        return
    for row in work.locations.of_image(job.image_id):
        if row.store == STAGING_STORE and row.id is not None:
            work.locations.remove(row.id)  # what is stored counts from here on
    image = records.as_it_will_be(image, staged)
    if measured.formats not in (None, (image.disk_format, image.container_format)):
        raise Conflict(
            f"The formats of image {image.id} were changed after its data had been inspected; "
            "import it anew"
        )
    become = replace(
        image,
        status=ImageStatus.ACTIVE,
        size=measured.size,
        virtual_size=measured.virtual_size,
        checksum=measured.checksum,
        os_hash_algo=measured.hash_algo,
        os_hash_value=measured.hash_value,
    )
    work.images.save(become, expect_status={ImageStatus.IMPORTING})
    active_image = work.images.get(job.image_id)
    work.events.append(about(active_image, "image.upload", None))
    work.events.append(about(active_image, "image.activate", None))
