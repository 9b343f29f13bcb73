# SPDX-License-Identifier: Apache-2.0
"""The step ``image_conversion``: every disk image in the one format that the operator wants.

Looked at before and after, by our own inspector and by qemu-img: no file may lead to another one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from glancekit.plugin import (
    CHECKSUM_ALGORITHM,
    CHUNK_SIZE,
    FormatInspection,
    Image,
    ImportStep,
    IntOpt,
    LimitExceeded,
    Progress,
    StagedImage,
    StrOpt,
    SupportsForecast,
    UnacceptableFormat,
    Verdict,
)
from glancekit_image_steps.child import Limits
from glancekit_image_steps.qemu import NAMES, QemuImg
from glancekit_image_steps.writing import beside, remove, room

_ENDING = "converted"

_OVERHEAD = 64 << 20
"""Bytes by which a target may be larger than its disk, besides an eighth of it: tables."""


class Conversion(ImportStep, SupportsForecast):
    """Convert with qemu-img. Sets ``disk_format``, ``size`` and ``virtual_size``."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "image_conversion"
    shared_sections: ClassVar[Sequence[str]] = ("DEFAULT", "image_format")
    options: ClassVar[Sequence[Any]] = (
        StrOpt(
            "output_format",
            default="raw",
            choices=["raw", "qcow2", "vmdk"],
            help="Format that imported disk images are to have.",
        ),
        IntOpt(
            "max_memory",
            default=2048,
            min=128,
            help="MiB of address space that qemu-img may use.",
        ),
        IntOpt(
            "max_cpu_time",
            default=3600,
            min=1,
            help="Seconds of processor time that one conversion may take.",
        ),
        IntOpt(
            "max_time",
            default=7200,
            min=1,
            help="Seconds that one conversion may take.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._output: str = options.output_format
        self._cap: int = options.DEFAULT.image_size_cap
        self._algorithms = (CHECKSUM_ALGORITHM, options.DEFAULT.hashing_algorithm)
        self._formats = options.image_format
        self._qemu = QemuImg(
            Limits(
                memory=options.max_memory << 20,
                cpu=options.max_cpu_time,
                clock=options.max_time,
            )
        )

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether it is a disk image in another format. ISO images and kernels are none."""
        return self.will_replace(staged.image)

    def will_replace(self, image: Image) -> bool:
        """Say the same, for which the record is enough."""
        is_disk = image.container_format == "bare" and image.disk_format in NAMES
        return is_disk and image.disk_format != self._output

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Convert it into a file beside.

        :raises UnacceptableFormat: when it is not what it says, or leads to other files.
        :raises Invalid: when qemu-img cannot read it.
        :raises LimitExceeded: when the disk in it is larger than images may be.
        """
        source, to = staged.path, beside(staged, _ENDING)
        known = staged.image.disk_format or ""
        self._inspect(source, known)
        info = self._qemu.info(source, known)
        _require_alone(info)
        virtual = self._require_small(int(info["virtual-size"]))
        self._qemu.check(source, known)
        try:
            with room():
                digests = self._convert(source, to, known, virtual, progress)
                image = self._converted(staged.image, to)
        except BaseException:
            remove(to)
            raise
        return replace(staged, image=image, path=to, digests=digests)

    def revert(self, staged: StagedImage) -> None:
        """Remove what was converted."""
        remove(beside(staged, _ENDING))

    def _convert(
        self, source: Path, to: Path, known: str, virtual: int, progress: Progress
    ) -> Mapping[str, str]:
        """Convert, and return the digests of what came out, where they are known."""

        def tell(percent: float) -> None:
            progress(int(virtual * percent / 100), virtual)

        remove(to)  # of an attempt before
        if self._output == "raw":
            return self._qemu.convert_to_raw(
                source, to, known, size=virtual, algorithms=self._algorithms, percent=tell
            )
        self._qemu.convert(
            source,
            to,
            (known, self._output),
            most=virtual + virtual // 8 + _OVERHEAD,
            percent=tell,
        )
        with to.open("rb") as file:
            os.fsync(file.fileno())
        return {}

    def _converted(self, image: Image, to: Path) -> Image:
        """Return the record of what came out, once that was looked at like anything else."""
        self._inspect(to, self._output)
        info = self._qemu.info(to, self._output)
        _require_alone(info)
        return replace(
            image,
            disk_format=self._output,
            container_format="bare",
            size=to.stat().st_size,
            virtual_size=int(info["virtual-size"]),
        )

    def _inspect(self, path: Path, known: str) -> Verdict:
        inspection = FormatInspection(
            known,
            "bare",
            vmdk_allowed_types=self._formats.vmdk_allowed_types,
            gpt_safety_checks_nonfatal=self._formats.gpt_safety_checks_nonfatal,
        )
        with path.open("rb") as file:
            while inspection.wants_more and (chunk := file.read(CHUNK_SIZE)):
                inspection.feed(chunk)
        verdict = inspection.finish(path.stat().st_size)
        if verdict.detected_format not in (known, "gpt" if known == "raw" else known):
            raise UnacceptableFormat(
                f"its content is {verdict.detected_format}, but the image's disk_format is "
                f"{known}; set disk_format to what the file is"
            )
        return verdict

    def _require_small(self, virtual: int) -> int:
        if virtual > self._cap:
            raise LimitExceeded(
                limit=self._cap, asked=virtual, what="bytes of the disk in an image"
            )
        return virtual


def _require_alone(info: Mapping[str, Any]) -> None:
    """Insist that a file needs no other one to be read.

    :raises UnacceptableFormat: when it names one.
    """
    specific = info.get("format-specific", {}).get("data", {})
    if "backing-filename" in info or "full-backing-filename" in info:
        raise UnacceptableFormat("it is an overlay of another file (a backing file)")
    if "data-file" in specific:
        raise UnacceptableFormat("its data is in another file (an external data file)")
    if info.get("encrypted"):
        raise UnacceptableFormat("it is encrypted, and cannot be converted without its key")
    if len(specific.get("extents", ())) > 1:
        raise UnacceptableFormat("its data is in several files (extents)")
