# SPDX-License-Identifier: Apache-2.0
"""The import contracts: how bytes get into staging, and what is done to them there.

Recording intent, resuming and undoing whole flows is the flows' business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.model.image import Image
from glancekit.core.stream import ByteStream

Progress = Callable[[int, int | None], None]
"""Called with bytes done and in all (None: unknown); raises when the import was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedImage:
    """An image on its way in: the record as it will be, and its bytes as a file of this host."""

    image: Image
    path: Path


@runtime_checkable
class ImportMethod(Protocol):
    """A source of bytes, named by the API's ``method.name``.

    Built as ``Method(options, name=...)``.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()

    @abstractmethod
    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Check the request's method arguments before anything is written.

        :raises Invalid: naming the argument and what is wrong with it.
        """
        ...

    @abstractmethod
    def open(self, image: Image, arguments: Mapping[str, Any], *, offset: int) -> ByteStream:
        """Open the source from ``offset`` on, so that a broken fetch goes on where it was."""
        ...


@runtime_checkable
class ImportStep(Protocol):
    """Something done to a staged image, named in the configuration.

    Built as ``Step(options, name=...)``.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()

    @abstractmethod
    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether there is anything to do."""
        ...

    @abstractmethod
    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it and return the image as it then is; a new file goes beside the old one.

        May be called again after a crash, with the file as it was before the first call.
        """
        ...

    @abstractmethod
    def revert(self, staged: StagedImage) -> None:
        """Remove what ``execute`` made, wherever it stopped; harmless when called again."""
        ...
