# SPDX-License-Identifier: Apache-2.0
"""The contract of those who know limits. What counts against them is not their business."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from glancekit.core.quota import Quota


@runtime_checkable
class LimitSource(Protocol):
    """Where limits come from. Built as ``Driver(options, name=...)``; ``__init__`` does no work.

    The service asks outside of its transactions, from many threads, once for each request that
    adds something: an answer that takes time is to be remembered for a while.
    """

    api_level: ClassVar[int]
    options: ClassVar[Sequence[Any]] = ()
    section: ClassVar[str] = "quotas"
    """Where its options are in the configuration."""

    @abstractmethod
    def is_limiting(self) -> bool:
        """There may be a limit for some project; when not, nobody asks for any."""
        ...

    @abstractmethod
    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return a project's limits in the quotas' units; one that is not there is none.

        :raises Unavailable: when they cannot be known now.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; the driver is not used afterwards."""
        ...
