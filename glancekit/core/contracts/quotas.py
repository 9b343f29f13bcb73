# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata contract that is about usage. Limits are not its business.

What each image counts is said by ``used_by`` alone. The sums follow by themselves: whatever a
unit of work changes in images and locations is in its project's usage with the same commit. An
image that is deleted counts nothing any more, whatever rows remain of its locations.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from glancekit.core.model.image import Location
from glancekit.core.quota import ProjectUsage, Recount


class QuotaRepository(Protocol):
    """What projects use, and what is reserved for copies that are being written."""

    @abstractmethod
    def usage(self, project_id: str) -> ProjectUsage:
        """Return what a project uses, with all that this unit of work has changed.

        When that raised it, nobody else can raise it until this unit of work ends: what is found
        to be within a limit here is within it when it is committed. Its cost does not grow with
        the number of images.
        """
        ...

    @abstractmethod
    def reserve(self, location: Location, amount: int) -> None:
        """Let a copy that is being written count so many bytes, instead of what it did.

        The reservation goes with the row's state ``writing``: it ends when the copy is active,
        given up or removed, in the same transaction.

        :raises Conflict: when the row is gone, in another state, or another holder's.
        """
        ...

    @abstractmethod
    def reserved(self, location_id: int) -> int:
        """Return how many bytes a copy may take, nought when nothing is reserved."""
        ...

    @abstractmethod
    def projects(self) -> Sequence[str]:
        """Return all projects that have images or are said to use something, in order."""
        ...

    @abstractmethod
    def recount(self, project_id: str) -> Recount:
        """Count a project's usage anew from its records, and keep that as its usage."""
        ...
