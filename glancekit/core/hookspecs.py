# SPDX-License-Identifier: Apache-2.0
"""The hooks: every moment at which a plugin may listen, as one list. Calling them is hooks.py's business.

The prefix of a name tells what the return value means:

* ``register_*``  things to collect, once, at start
* ``before_*``    nothing; may raise ``Rejected`` to refuse
* ``after_*``     ignored; a listener that raises is logged, the others are still told
* ``choose_*``    the first answer that is not None wins
* ``objections_to_*`` reasons to refuse; can narrow rights, never widen them

Listeners may take fewer arguments than the hook offers. A hook is never renamed or removed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from glancekit.core.model.events import Event
    from glancekit.core.model.image import Image
    from glancekit.core.periodic import PeriodicTask, PeriodicWorld

PROJECT = "glancekit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# -- at start ----------------------------------------------------------------------------------


@hookspec
def register_periodic_tasks(world: PeriodicWorld) -> list[PeriodicTask]:  # type: ignore[empty-body]
    """Return what should run every so often, in one process of the whole service."""


# -- stores ------------------------------------------------------------------------------------


@hookspec
def before_store_write(image: Image, store: str) -> None:
    """Look at an upload before its first byte goes to a store; raise ``Rejected`` to refuse it."""


# -- metadata ----------------------------------------------------------------------------------


@hookspec
def after_commit(events: Sequence[Event]) -> None:
    """Hear what happened, in order, at least once each, even after a crash."""
