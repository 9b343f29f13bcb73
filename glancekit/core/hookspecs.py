# SPDX-License-Identifier: Apache-2.0
"""The hooks: every moment at which a plugin may listen, as one list. hooks.py calls them.

The prefix of a name tells what the return value means:

* ``register_*``  things to collect, once, at start
* ``after_*``     ignored; a listener that raises is logged, the others are still told

Listeners may take fewer arguments than the hook offers. A hook is never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from glancekit.core.model.events import Event
    from glancekit.core.periodic import PeriodicTask, PeriodicWorld

PROJECT = "glancekit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

ReadSection = Callable[[str, Sequence[Any]], Any]
"""Takes a section's name and its options as they are declared; returns the values that the
configuration gives them, as attributes. It raises ``ConfigError`` where these make no sense."""


# -- at start ----------------------------------------------------------------------------------


@hookspec
def register_periodic_tasks(world: PeriodicWorld) -> list[PeriodicTask]:  # type: ignore[empty-body]
    """Return what should run every so often, in one process of the whole service."""


# -- on the command line -----------------------------------------------------------------------


@hookspec
def register_commands(read_section: ReadSection) -> list[Any]:  # type: ignore[empty-body]
    """Return click commands. The configuration is there to be read once one of them runs."""


# -- metadata ----------------------------------------------------------------------------------


@hookspec
def after_commit(events: Sequence[Event]) -> None:
    """Hear what happened, in order, at least once each, even after a crash."""
