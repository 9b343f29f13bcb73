# SPDX-License-Identifier: Apache-2.0
"""Can the service do its work? Asked part by part, each answer within its deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glancekit.core.contracts.store import SupportsHealth
from glancekit.core.errors import GlancekitError
from glancekit.services.world import World


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the service; ``detail`` says what is wrong with it.

    The service as a whole is not well when a ``required`` part is not.
    """

    name: str
    ok: bool
    detail: str
    required: bool


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is."""

    ok: bool
    parts: tuple[Part, ...]


def check(world: World) -> Health:
    """Ask the metadata backend, every store, and what became of the plugins at the start."""
    parts = [_ask("metadata", world.metadata.check, required=True)]
    for store in world.stores.all:
        if store.supports(SupportsHealth):
            required = store.id == world.stores.default.id
            parts.append(_ask(f"store:{store.id}", store.check, required=required))
    parts.extend(
        Part(f"plugin:{report.group}:{report.name}", False, report.reason, False)
        for report in world.plugins
        if report.state != "ok"
    )
    return Health(ok=all(part.ok for part in parts if part.required), parts=tuple(parts))


def _ask(name: str, question: Callable[[], None], *, required: bool) -> Part:
    try:
        question()
    except GlancekitError as error:
        return Part(name, False, str(error), required)
    return Part(name, True, "", required)
