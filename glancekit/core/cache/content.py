# SPDX-License-Identifier: Apache-2.0
"""Which bytes a cached file must have, told from an image's record."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from glancekit.core.digesting import CHECKSUM_ALGORITHM
from glancekit.core.model.image import Image

_SAFE = re.compile(r"[\w-]{1,64}", re.ASCII)
"""Ids that may be part of a file's name."""

_SHOWN = 32
"""Characters of the digest in a name: the same image with other bytes is another file."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an image: ``size`` of them, with this digest in hex."""

    image_id: str
    size: int
    algorithm: str
    digest: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.image_id}.{self.digest[:_SHOWN]}"

    def new_digest(self) -> Any:
        """Return what computes the digest."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def content_of(image: Image) -> Content | None:
    """Return what a cached file of an image must hold.

    None when that cannot be told: an image whose size or digest nobody knows is not cached, since
    its bytes could not be checked. Neither is an empty one.
    """
    if not image.size or not _SAFE.fullmatch(image.id):
        return None
    algorithm, value = image.os_hash_algo, image.os_hash_value
    if algorithm and value and algorithm in hashlib.algorithms_available:
        return Content(image.id, image.size, algorithm, value.lower())
    if image.checksum:
        return Content(image.id, image.size, CHECKSUM_ALGORITHM, image.checksum.lower())
    return None


def image_of(name: str) -> str:
    """Return the id of the image that a file is of."""
    return name.partition(".")[0]
