# SPDX-License-Identifier: Apache-2.0
"""Can the service do its work? Asked part by part, each answer within its deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from glancekit.core.breaker import BreakerState
from glancekit.core.contracts.store import SupportsHealth
from glancekit.core.errors import GlancekitError
from glancekit.core.stores import Store
from glancekit.core.trials import Overdue, attempt_all
from glancekit.services.world import World

PATIENCE = 2.0
"""Seconds for the answers of all stores together. Each has a longer time-out of its own, which
goes on; but a load balancer waits for a few seconds only, and would take all hosts out because one
store hangs, though it is not the default one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the service; ``detail`` says what is wrong with it, or worth to know.

    The service as a whole is not well when a ``required`` part is not. ``breaker`` is of stores
    alone: whether this process passes it over.
    """

    name: str
    ok: bool
    detail: str
    required: bool
    breaker: BreakerState | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How the service is."""

    ok: bool
    parts: tuple[Part, ...]


def check(world: World) -> Health:
    """Ask the metadata backend, every store, the image cache, and what became of the plugins at
    the start.

    The stores are asked at once, so that several that hang cost the time of one.
    """
    parts = [_ask("metadata", world.metadata.check, required=True), *_ask_stores(world)]
    parts.extend(_ask_cache(world))
    parts.extend(
        Part(
            name=f"plugin:{report.group}:{report.name}",
            ok=False,
            detail=report.reason,
            required=False,
        )
        for report in world.plugins
        if report.state != "ok"
    )
    return Health(ok=all(part.ok for part in parts if part.required), parts=tuple(parts))


def _ask(name: str, question: Callable[[], None], *, required: bool) -> Part:
    try:
        question()
    except GlancekitError as error:
        return Part(name=name, ok=False, detail=str(error), required=required)
    return Part(name=name, ok=True, detail="", required=required)


def _ask_cache(world: World) -> list[Part]:
    """Return how the image cache is, where there is to be one; downloads go on without it."""
    if world.cache is None and not world.cache_error:
        return []
    problem = world.cache_error if world.cache is None else world.cache.problem()
    detail = f"nothing is cached, downloads come from the stores: {problem}" if problem else ""
    return [Part(name="cache", ok=not problem, detail=detail, required=False)]


def _ask_stores(world: World) -> list[Part]:
    stores = world.stores.all
    outcomes = attempt_all([partial(_ask_store, store) for store in stores], deadline=PATIENCE)
    return [_outcome(*pair) for pair in zip(stores, outcomes, strict=True)]


def _outcome(store: Store, outcome: Part | BaseException) -> Part:
    if isinstance(outcome, Overdue):
        return _part_of(store, f"it did not say within {PATIENCE:g} s how it is")
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _ask_store(store: Store) -> Part:
    try:
        store.check()
    except GlancekitError as error:
        return _part_of(store, str(error))
    return _part_of(store, None)


def _part_of(store: Store, problem: str | None) -> Part:
    detail = [problem] if problem else []
    detail += ["It is being drained: nothing is added."] if store.draining else []
    return Part(
        name=f"store:{store.id}",
        ok=problem is None,
        detail=" ".join(detail),
        required=store.is_default,
        breaker=store.status.state if store.supports(SupportsHealth) else None,
    )
