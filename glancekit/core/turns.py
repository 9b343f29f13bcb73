# SPDX-License-Identifier: Apache-2.0
"""Whether what runs here may go on: a periodic task has a turn, which ends when its lock is not
surely held any more, or when the process is told to stop.

Who gives turns is the business of ``core/periodic``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_over: ContextVar[Callable[[], bool]] = ContextVar("is_over", default=lambda: False)


class TurnOver(Exception):
    """What ran must not go on. No failure: somebody goes on with it later, or does already."""


def require_turn() -> None:
    """Return as long as the task that runs in this thread may go on; outside of one, always.

    For long tasks, to be called between one thing and the next. It costs nothing.

    :raises TurnOver: when another process may be at the task now, or this one is to stop.
    """
    if _is_over.get()():
        raise TurnOver("the turn of this periodic task is over")


@contextmanager
def turn_that_ends(is_over: Callable[[], bool]) -> Iterator[None]:
    """Let ``require_turn`` ask this in the block."""
    token = _is_over.set(is_over)
    try:
        yield
    finally:
        _is_over.reset(token)
