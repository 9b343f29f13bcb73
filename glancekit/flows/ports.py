# SPDX-License-Identifier: Apache-2.0
"""What the services do for a flow, and what goes between them. Doing it is not this room's.

Each deed may be done again after a kill at any line of it, by this process or another, and then
ends as if it had been done once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from glancekit.core.model.image import NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One import as it is put on the board. ``steps`` and ``stores`` are fixed from then on.

    ``project`` is whose turn it counts for. Where ``stages`` is false, no bytes are staged. Where
    ``in_parallel`` is false, stores are written one after another in their order.
    """

    task_id: str
    image_id: str
    project: str
    method: str
    steps: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    all_must_succeed: bool = True
    stages: bool = True
    in_parallel: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Job:
        """Return what ``to_json`` made."""
        lists = {name: tuple(given[name]) for name in ("steps", "stores")}
        return cls(**{**given, **lists})


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What lies in staging: a file of the image's folder, and what the record becomes by it.

    ``attributes`` and ``properties`` are the new values of those that change; a property of value
    None goes away.
    """

    file: str
    size: int
    attributes: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    properties: Mapping[str, str | None] = field(default_factory=lambda: NOTHING)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "file": self.file,
            "size": self.size,
            "attributes": dict(self.attributes),
            "properties": dict(self.properties),
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Staged:
        """Return what ``to_json`` made."""
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the bytes are: sizes in bytes, digests in hex, None of those that nobody knows.

    ``formats`` are the disk format and container format that they were inspected as; None where
    they were not.
    """

    size: int
    checksum: str | None
    hash_algo: str | None
    hash_value: str | None
    virtual_size: int | None = None
    formats: tuple[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Measured:
        """Return what ``to_json`` made."""
        disk, container = given.get("formats") or (None, None)
        formats = None if disk is None or container is None else (disk, container)
        return cls(**{**given, "formats": formats})


class Turn(StrEnum):
    """What a worker may do about a job that it claimed."""

    MINE = "mine"
    """Run it."""
    OVER = "over"
    """Take it off the board: there is nothing left to do."""
    NOT_NOW = "not now"
    """Leave it: another is at it, or has the bytes."""


class ImportWork(Protocol):
    """The deeds of an import, and their undoing. An undoing never raises.

    Every deed raises ``Conflict`` when the import is not this process's any more, or was
    cancelled; nothing was changed then.
    """

    # -- around a flow

    @abstractmethod
    def take(self, task_id: str) -> Turn:
        """Make an import this process's own, count the try, and settle what cannot go on."""
        ...

    @abstractmethod
    def unfinished(self, *, age: float = 0.0) -> Sequence[Job]:
        """Return imports that have not ended and were begun so many seconds ago."""
        ...

    @abstractmethod
    def gone(self, holders: Iterable[str]) -> frozenset[str]:
        """Return those of these holders of claims that are dead."""
        ...

    # -- the steps, in their order

    @abstractmethod
    def fetch(self, job: Job) -> Staged:
        """Bring the bytes into staging, if they are not there; go on where another stopped."""
        ...

    @abstractmethod
    def apply(self, job: Job, step: str, staged: Staged) -> Staged:
        """Let a step of the operator's do its work on what is staged."""
        ...

    @abstractmethod
    def measure(self, job: Job, staged: Staged) -> Measured:
        """Inspect what is staged, and know its digests."""
        ...

    @abstractmethod
    def describe(self, job: Job) -> Measured:
        """Return what is known of bytes that are in a store already."""
        ...

    @abstractmethod
    def write(self, job: Job, store: str, staged: Staged | None, measured: Measured) -> bool:
        """Put the bytes into a store; False when it failed and may.

        Where nothing is staged, they come from a copy that the image has.
        """
        ...

    @abstractmethod
    def activate(self, job: Job, staged: Staged | None, measured: Measured) -> None:
        """Show what was written, and the image as active."""
        ...

    @abstractmethod
    def unstage(self, job: Job) -> None:
        """Remove what is staged."""
        ...

    @abstractmethod
    def finish(self, job: Job) -> None:
        """Let image and task go."""
        ...

    # -- undoing

    @abstractmethod
    def unapply(self, job: Job, step: str, staged: Staged) -> None:
        """Remove what a step made."""
        ...

    @abstractmethod
    def unwrite(self, job: Job, store: str) -> None:
        """Take away what was written to a store and is not shown."""
        ...

    @abstractmethod
    def fail(self, job: Job, reason: str) -> None:
        """Put the image back, and let the task end in failure."""
        ...
