# SPDX-License-Identifier: Apache-2.0
"""Limits that are held in memory: for tests, and as the simplest one that keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from glancekit.plugin import API_LEVEL, LimitSource, Quota


class MemoryLimits(LimitSource):
    """Some projects have limits of their own, all others the usual ones."""

    api_level: ClassVar[int] = API_LEVEL
    options: ClassVar[Sequence[Any]] = ()

    def __init__(
        self,
        limits: Mapping[str, Mapping[Quota, int]] | None = None,
        usual: Mapping[Quota, int] | None = None,
    ) -> None:
        """Begin with these, by project; ``usual`` are those of every other project."""
        self._limits = {project: dict(own) for project, own in (limits or {}).items()}
        self._usual = dict(usual or {})

    def is_limiting(self) -> bool:
        """There may be a limit for some project."""
        return bool(self._usual or any(self._limits.values()))

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return a project's limits."""
        return dict(self._limits.get(project_id, self._usual))

    def close(self) -> None:
        """There is nothing to let go of."""
