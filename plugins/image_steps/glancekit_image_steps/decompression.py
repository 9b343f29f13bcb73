# SPDX-License-Identifier: Apache-2.0
"""The step ``image_decompression``: what was sent compressed is unpacked, once, within bounds.

What the image is then is looked at by those who come after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from glancekit.plugin import (
    FloatOpt,
    ImportStep,
    Invalid,
    LimitExceeded,
    Progress,
    StagedImage,
)
from glancekit_image_steps.codecs import Codec, codec_of, codec_of_head
from glancekit_image_steps.writing import SparseFile, beside, remove

_ENDING = "decompressed"

_FREE = 256 << 20
"""Bytes that may come out whatever went in: small images may be next to empty."""


class Decompression(ImportStep):
    """Unpack gzip, bzip2, xz, zstd, and zip files of one member."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "image_decompression"
    shared_sections: ClassVar[Sequence[str]] = ("DEFAULT",)
    options: ClassVar[Sequence[Any]] = (
        FloatOpt(
            "max_ratio",
            default=100.0,
            min=1.0,
            help="How many times larger than the file what comes out of it may be, once that is "
            "more than 256 MiB. It ends at image_size_cap in any case.",
        ),
    )

    def __init__(self, options: Any, *, name: str) -> None:
        self.name = name
        self._max_ratio: float = options.max_ratio
        self._cap: int = options.DEFAULT.image_size_cap

    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether it is compressed, unless that is what the image is meant to be."""
        if staged.image.container_format == "compressed":
            return False
        with staged.path.open("rb") as file:
            return codec_of(file) is not None

    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Unpack it into a file beside.

        :raises Invalid: when it cannot be read to its end, or is packed twice.
        :raises LimitExceeded: when more comes out than may.
        """
        to = beside(staged, _ENDING)
        total = staged.path.stat().st_size
        limit = self._limit(total)
        with staged.path.open("rb") as file, SparseFile(to, limit=self._cap) as out:
            codec = codec_of(file)
            if codec is None:
                raise Invalid("the image data is not compressed")
            file.seek(0)
            for chunk in codec.open(file):
                if out.size == 0:
                    _require_unpacked(chunk, codec)
                out.write(chunk)
                if out.size > limit:
                    raise LimitExceeded(
                        f"the {codec.name} file of {total} bytes holds more than {limit} bytes; "
                        "ask your operator to raise [image_decompression] max_ratio, or send the "
                        "image as it is",
                        limit=limit,
                        asked=out.size,
                        what="bytes of unpacked image data",
                    )
                progress(file.tell(), total)
        return replace(staged, image=replace(staged.image, size=out.size), path=to)

    def revert(self, staged: StagedImage) -> None:
        """Remove what was unpacked."""
        remove(beside(staged, _ENDING))

    def _limit(self, total: int) -> int:
        return max(_FREE, int(total * self._max_ratio))


def _require_unpacked(beginning: bytes, codec: Codec) -> None:
    inner = codec_of_head(beginning)
    if inner is not None:
        raise Invalid(
            f"the image data is packed twice ({codec.name}, and {inner.name} in it); pack it once"
        )
