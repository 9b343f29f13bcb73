# SPDX-License-Identifier: Apache-2.0
"""Periodic tasks' states in memory: a part of the memory driver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from glancekit.core.contracts.periodic import PeriodicRepository
from glancekit.core.errors import Conflict, MetadataError
from glancekit.core.model.periodic import PeriodicRun, PeriodicState


class PeriodicRecords(Protocol):
    """Where a unit of work of the memory driver has them."""

    periodic_states: dict[tuple[str, str], PeriodicState]
    periodic_runs: dict[int, PeriodicRun]

    def count(self, what: str) -> int:
        """Return the next number for something."""
        ...


class MemoryPeriodic(PeriodicRepository):
    """States in a unit of work's copy of all records."""

    def __init__(self, state: PeriodicRecords, *, read_only: bool) -> None:
        self._state = state
        self._read_only = read_only

    def get(self, name: str, host: str = "") -> PeriodicState:
        """See the contract."""
        return self._state.periodic_states.get((name, host), PeriodicState(name=name, host=host))

    def all(self) -> Sequence[PeriodicState]:
        """See the contract."""
        return [state for _, state in sorted(self._state.periodic_states.items())]

    def save(self, state: PeriodicState) -> PeriodicState:
        """See the contract."""
        self._require_writing()
        if self.get(state.name, state.host).version != state.version:
            raise Conflict(f"The periodic task {state.name} was changed meanwhile")
        saved = replace(state, version=state.version + 1)
        self._state.periodic_states[state.name, state.host] = saved
        return saved

    def remember(self, run: PeriodicRun, *, keep: int) -> None:
        """See the contract."""
        self._require_writing()
        runs = self._state.periodic_runs
        runs[self._state.count("periodic run")] = run
        same = [at for at, one in runs.items() if (one.name, one.host) == (run.name, run.host)]
        for number in same[: max(0, len(same) - keep)]:
            del runs[number]

    def history(self, name: str, *, limit: int) -> Sequence[PeriodicRun]:
        """See the contract."""
        newest = reversed(self._state.periodic_runs.values())
        return [run for run in newest if run.name == name][:limit]

    def forget(self, name: str, host: str = "") -> None:
        """See the contract."""
        self._require_writing()
        self._state.periodic_states.pop((name, host), None)
        runs = self._state.periodic_runs
        for number in [at for at, run in runs.items() if (run.name, run.host) == (name, host)]:
            del runs[number]

    def _require_writing(self) -> None:
        if self._read_only:
            raise MetadataError("A read-only unit of work was asked to write")
