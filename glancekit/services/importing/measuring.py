# SPDX-License-Identifier: Apache-2.0
"""What the bytes of an import are: their size, digests and format, and whether they are safe.

What is a safe format is the business of ``core/formats``.
"""

from __future__ import annotations

from dataclasses import replace

from glancekit.core.errors import Invalid
from glancekit.core.formats import FormatInspection
from glancekit.core.model.image import Image, Location
from glancekit.core.options import STAGING_STORE
from glancekit.core.stream import CHUNK_SIZE, ByteStream, FileStream
from glancekit.core.transfer import Receipt, TransferPlan
from glancekit.core.transfer import run as transfer
from glancekit.flows.ports import Job, Measured, Staged
from glancekit.services.importing import records
from glancekit.services.importing.fetching import Fetching
from glancekit.services.importing.patience import beat, look
from glancekit.services.importing.pulse import Pulse
from glancekit.services.staging import Staging
from glancekit.services.world import World


class Measuring:
    """Knows the bytes of a world's imports."""

    def __init__(self, world: World, staging: Staging, fetching: Fetching) -> None:
        self._world = world
        self._staging = staging
        self._fetching = fetching

    def measure(self, job: Job, staged: Staged) -> Measured:
        """Inspect what is staged, and know its digests.

        :raises Invalid: when the record does not say what format it should have.
        """
        self._staging.keep_only(job.image_id, staged.file)
        self._fetching.fetch_what_was_lost(job, staged)
        self._staging.settle(job.image_id)
        path = self._staging.of(job.image_id) / staged.file
        known = self._staging.receipt_of(path)
        image = records.as_it_will_be(
            look(self._world, lambda work: work.images.get(job.image_id)), staged
        )
        if image.disk_format is None or image.container_format is None:
            raise Invalid("The image has no disk_format or container_format; set both")
        formats = (image.disk_format, image.container_format)
        inspector = self._inspector(image)
        with path.open("rb", buffering=0) as file:
            if known is None or known.hash_algo != self._world.settings.hashing_algorithm:
                receipt = self._read(job, FileStream(file), staged.size, inspector)
                return _measured(receipt, formats)
            while inspector.wants_more and (chunk := file.read(CHUNK_SIZE)):
                inspector.feed(chunk)
        verdict = inspector.finish(known.size)
        return _measured(replace(known, virtual_size=verdict.virtual_size), formats)

    def describe(self, job: Job) -> Measured:
        """Return what is known of bytes that are in a store already.

        :raises Invalid: when their size is not.
        """
        image, _ = look(self._world, lambda work: records.mine(self._world, work, job))
        if image.size is None:
            raise Invalid(f"Image {image.id} has no known size, so it cannot be copied")
        return Measured(
            size=image.size,
            checksum=image.checksum,
            hash_algo=image.os_hash_algo,
            hash_value=image.os_hash_value,
            virtual_size=image.virtual_size,
        )

    def _read(
        self, job: Job, source: ByteStream, size: int, inspector: FormatInspection
    ) -> Receipt:
        plan = TransferPlan(
            declared_size=size,
            size_cap=self._world.settings.image_size_cap,
            hash_algo=self._world.settings.hashing_algorithm,
            inspector=inspector,
            observers=(Pulse(beat(self._world, job), "measure", size),),
        )
        return transfer(source, plan, _pass_by)[1]

    def _inspector(self, image: Image) -> FormatInspection:
        settings = self._world.settings
        return FormatInspection(
            disk_format=image.disk_format,
            container_format=image.container_format,
            require_match=settings.require_image_format_match,
            vmdk_allowed_types=settings.vmdk_allowed_types,
            gpt_safety_checks_nonfatal=settings.gpt_safety_checks_nonfatal,
        )


def _pass_by(stream: ByteStream) -> Location:
    for _ in stream:
        pass
    return Location(url="", store=STAGING_STORE)


def _measured(receipt: Receipt, formats: tuple[str, str]) -> Measured:
    return Measured(
        size=receipt.size,
        checksum=receipt.checksum,
        hash_algo=receipt.hash_algo,
        hash_value=receipt.hash_value,
        virtual_size=receipt.virtual_size,
        formats=formats,
    )
