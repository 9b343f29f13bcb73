# SPDX-License-Identifier: Apache-2.0
"""A source of limits, asked in time and counted. What limits there are is its own business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from glancekit.core.asking import Asked
from glancekit.core.contracts.limits import LimitSource
from glancekit.core.quota import Quota


class AskedLimits(LimitSource):
    """The source, and how it is asked: its nonsense costs the request that needed it, no other."""

    api_level: ClassVar[int] = 1
    options: ClassVar[Sequence[Any]] = ()

    def __init__(self, source: LimitSource, asked: Asked) -> None:
        self._source = source
        self._asked = asked

    def is_limiting(self) -> bool:
        """There may be a limit for some project."""
        return self._asked.answer("is_limiting", self._source.is_limiting, kind=bool)

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return a project's limits.

        :raises Unavailable: when they cannot be known now.
        :raises PluginError: when the source fails in a way of its own.
        """
        return self._asked.answer("limits", partial(self._limits, project_id), kind=Mapping)

    def close(self) -> None:
        """Let go of what the source holds."""
        self._source.close()

    def _limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return them, each of a known kind: a wrong one is found here, not in a transaction."""
        found = self._source.limits(project_id)
        return {Quota(quota): int(limit) for quota, limit in found.items()}
