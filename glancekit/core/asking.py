# SPDX-License-Identifier: Apache-2.0
"""Asking a driver that is no store: counted, in time, and whatever it raises named after it.

Stores have more around them: guard.py. What is asked is the asker's business.
"""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import Any, TypeVar

from glancekit.core.counters import Counters
from glancekit.core.deadline import Deadline, DeadlineMissed
from glancekit.core.errors import (
    GlancekitError,
    PluginError,
    StoreError,
    Unavailable,
)

T = TypeVar("T")

_FAULTS = (PluginError, StoreError, Unavailable)
"""Errors that say that something is wrong here. The others are a driver's answers: to a caller who
is wrong, or to a service that broke it off."""


class Asked:
    """One driver and how it is asked: ``seconds`` is how long an answer may take (0: for ever).

    A call that hangs costs its own thread until it returns; at most ``threads`` do, and further
    ones fail at once.
    """

    def __init__(
        self,
        group: str,
        name: str,
        *,
        use: str = "",
        counters: Counters | None = None,
        seconds: float = 0.0,
        threads: int = 64,
    ) -> None:
        self._group = group
        self._name = name
        self._calls = (counters or Counters()).of(group, name, use)
        self._seconds = seconds
        self._deadline = Deadline(f"{use or name}", seconds, threads=threads) if seconds else None

    def answer(
        self, operation: str, work: Callable[[], T], *, kind: type[Any] | UnionType | None = None
    ) -> T:
        """Return what the driver answers, which must be of a kind where one is given.

        :raises Unavailable: when there is no answer in time.
        :raises PluginError: when it raises an error that is not glancekit's, or answers nonsense.
        """
        with self._calls.counted(operation, is_answer=_is_answer):
            try:
                answer = work() if self._deadline is None else self._deadline.call(work)
                if kind is None or isinstance(answer, kind):
                    return answer
                raise self._broken(f"{operation} returned a {type(answer).__name__}")
            except GlancekitError:
                raise
            except DeadlineMissed as error:
                raise Unavailable(
                    f"The service waits in vain for its plugin '{self._name}'; try again later"
                ) from error
            except (Exception, SystemExit) as error:
                reason = f"{operation} raised {type(error).__name__}: {error}"
                raise self._broken(reason) from error

    def close(self) -> None:
        """Let the threads end; one that hangs ends when its call does."""
        if self._deadline is not None:
            self._deadline.close()

    def _broken(self, reason: str) -> PluginError:
        return PluginError(group=self._group, name=self._name, reason=reason)


def _is_answer(error: BaseException) -> bool:
    return isinstance(error, GlancekitError) and not isinstance(error, _FAULTS)
