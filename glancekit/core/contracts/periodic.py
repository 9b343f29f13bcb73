# SPDX-License-Identifier: Apache-2.0
"""The part of the metadata contract that is about periodic tasks. When one is due is not its
business.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from glancekit.core.model.periodic import PeriodicRun, PeriodicState


class PeriodicRepository(Protocol):
    """How periodic tasks stand, and the last of their runs."""

    @abstractmethod
    def get(self, name: str, host: str = "") -> PeriodicState:
        """Return how a task stands, a state of version 0 when nothing was kept of it yet."""
        ...

    @abstractmethod
    def all(self) -> Sequence[PeriodicState]:
        """Return all states, in the order of their names and hosts."""
        ...

    @abstractmethod
    def save(self, state: PeriodicState) -> PeriodicState:
        """Keep a state, if the stored one still has its version; return it with the next.

        :raises Conflict: when somebody else saved in between.
        """
        ...

    @abstractmethod
    def remember(self, run: PeriodicRun, *, keep: int) -> None:
        """Add a run, and forget all but the last ``keep`` of that task on that host."""
        ...

    @abstractmethod
    def history(self, name: str, *, limit: int) -> Sequence[PeriodicRun]:
        """Return the last runs of a task on all hosts, those first that were added last."""
        ...

    @abstractmethod
    def forget(self, name: str, host: str = "") -> None:
        """Drop a task's state and runs; harmless when there are none."""
        ...
