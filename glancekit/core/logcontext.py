# SPDX-License-Identifier: Apache-2.0
"""What the work at hand is about, so that every line logged meanwhile says so.

Set where a request or a task begins; what lines look like is decided in cli/logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

_NOTHING: Mapping[str, str] = {}

_about: ContextVar[Mapping[str, str] | None] = ContextVar("glancekit_log_about", default=None)


def begin(**facts: str | None) -> None:
    """Forget what this thread worked on before, and say what it works on now.

    The names in use are ``request_id``, ``project_id`` and ``image_id``.
    """
    _begin(facts)


def note(**facts: str | None) -> None:
    """Add what became known since."""
    _begin({**about(), **facts})


def about() -> Mapping[str, str]:
    """Return what this thread works on."""
    return _about.get() or _NOTHING


def _begin(facts: Mapping[str, str | None]) -> None:
    _about.set({name: fact for name, fact in facts.items() if fact})
