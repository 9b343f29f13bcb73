# SPDX-License-Identifier: Apache-2.0
"""The import contracts: how bytes get into staging, and what is done to them there.

Recording intent, resuming and undoing whole flows is the flows' business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.model.identity import Identity
from glancekit.core.model.image import NOTHING, Image
from glancekit.core.stream import ByteStream

Progress = Callable[[int, int | None], None]
"""Called with bytes done and in all (None: unknown); raises when the import was cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedImage:
    """An image on its way in: the record as it will be, and its bytes as a file of this host.

    ``caller`` is who asked for the import. ``digests`` is what a step that wrote ``path`` hands on
    if it has seen all its bytes in their order: hex by algorithm. A step is given none.
    """

    image: Image
    path: Path
    caller: Identity
    digests: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch that broke off has left, in this process or another: a source's first bytes.

    They are those of the content that the source's stream called ``version``.
    """

    path: Path
    size: int
    version: str


class SourceStream(ByteStream, Protocol):
    """A source's bytes on their way, and what is known of them.

    Where the request said what they must be (a digest), the last of them are held back until that
    was seen to be so.
    """

    size: int | None
    """How many bytes there are from the very first on, None where the source does not say."""
    version: str | None
    """What tells this content from another of the same source, for ``Fetched``; None: nothing
    does, and a fetch that broke off begins anew."""


@runtime_checkable
class ImportMethod(Protocol):
    """A source of bytes, named by the API's ``method.name``.

    Built as ``Method(options, name=...)``; ``__init__`` does no work. ``section`` is where its
    options are in the configuration. ``shared_sections`` names sections of the service itself that
    it goes by, too: each is an attribute of ``options``, with that section's values.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()
    section: ClassVar[str] = ""
    shared_sections: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def validate(self, arguments: Mapping[str, Any]) -> None:
        """Check the request's method arguments before anything is written.

        :raises Invalid: naming the argument and what is wrong with it.
        """
        ...

    @abstractmethod
    def open(
        self,
        image: Image,
        arguments: Mapping[str, Any],
        *,
        caller: Identity,
        fetched: Fetched | None,
    ) -> SourceStream:
        """Open the source: behind what was fetched, or from the first byte on.

        :param caller: who asked for the import. ``token`` is None where it was not kept.
        :raises SourceChanged: when it is another content by now: what was fetched is of no use.
        """
        ...


@runtime_checkable
class SupportsDescription(Protocol):
    """A method whose source says what the image is."""

    @abstractmethod
    def describe(self, image: Image, arguments: Mapping[str, Any], *, caller: Identity) -> Image:
        """Return the record with what the source says of it. Asked before ``open``.

        :raises Invalid: when the source has nothing that can be imported.
        """
        ...


@runtime_checkable
class ImportStep(Protocol):
    """Something done to a staged image, named in the configuration.

    Built as ``Step(options, name=...)``; ``section`` and ``shared_sections`` as a method's.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()
    section: ClassVar[str] = ""
    shared_sections: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def applies_to(self, staged: StagedImage) -> bool:
        """Say whether there is anything to do."""
        ...

    @abstractmethod
    def execute(self, staged: StagedImage, progress: Progress) -> StagedImage:
        """Do it and return the image as it then is; a new file goes beside the old one.

        Digests that are handed on become those of the image, and the file is not read again for
        them. May be called again after a crash, with the file as it was before the first call.
        One that neither calls ``progress`` nor ends for ``[taskflow] stall_time`` seconds (an
        hour) is given up.
        """
        ...

    @abstractmethod
    def revert(self, staged: StagedImage) -> None:
        """Remove what ``execute`` made, wherever it stopped; harmless when called again."""
        ...


@runtime_checkable
class SupportsForecast(Protocol):
    """A step that can tell beforehand that it will replace the bytes that come.

    Nobody then digests what will be gone before it is stored.
    """

    @abstractmethod
    def will_replace(self, image: Image) -> bool:
        """Say whether ``execute`` replaces the bytes of such an image, whatever they are."""
        ...


METHOD_CAPABILITIES: tuple[type, ...] = (SupportsDescription,)
"""What a method may be able to do besides."""

STEP_CAPABILITIES: tuple[type, ...] = (SupportsForecast,)
"""What a step may be able to do besides."""
