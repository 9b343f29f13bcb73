# SPDX-License-Identifier: Apache-2.0
"""What has to happen to the copies of one image for the rules to be true, and why.

Nothing is read or written here: a plan follows from the image's record, the rules and how the
stores are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from glancekit.core.model.image import Image
from glancekit.services.keeping.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a store is: copies in it count (``holds``), can be added to it now (``takes``), removed
    from it now (``gives``). ``is_drained``: they are to leave. ``why`` is a part of a sentence."""

    holds: bool
    takes: bool
    gives: bool
    is_drained: bool = False
    why: str = ""


GONE = Condition(holds=False, takes=False, gives=False, why="it is not configured")
"""How a store is that records name and the configuration does not."""


class Action(StrEnum):
    """What happens to the copy in one store."""

    KEEP = "keep"
    ADD = "add"
    REMOVE = "remove"
    WAIT = "wait"
    NONE = "-"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens in one store, by which rules (names), and why in words."""

    store: str
    action: Action
    rules: tuple[str, ...]
    reason: str


def plan(
    rules: Sequence[Rule], image: Image, conditions: Mapping[str, Condition]
) -> tuple[Step, ...]:
    """Return a step for each store that is configured or has a copy."""
    matching = [rule for rule in rules if rule.matches(image)]
    wanted: dict[str, list[str]] = {}
    lacking: list[str] = []
    for rule in matching:
        chosen = list(_chosen(rule, image, conditions))[: rule.copies]
        for store in chosen:
            wanted.setdefault(store, []).append(rule.name)
        if len(chosen) < rule.copies:
            lacking.append(rule.name)
    copies = {copy.store: copy for copy in image.locations}
    steps = {
        store: _wanted_step(store, names, image, conditions[store])
        for store, names in wanted.items()
    }
    is_true = not lacking and all(step.action is Action.KEEP for step in steps.values())
    is_exact = any(rule.exact for rule in matching)
    for store in dict.fromkeys([*conditions, *copies]):
        condition = conditions.get(store, GONE)
        if store not in steps and store in copies:
            steps[store] = _surplus_step(
                store,
                condition,
                is_exact=is_exact,
                is_true=bool(matching) and is_true,
                lacking=lacking,
            )
        elif store not in steps:
            steps[store] = Step(store, Action.NONE, (), condition.why)
    return tuple(steps.values())


def _chosen(rule: Rule, image: Image, conditions: Mapping[str, Condition]) -> Iterator[str]:
    """Yield the stores of a rule that can have a copy: those that do, that did, then others."""
    good = {copy.store for copy in image.locations if not copy.is_lost}
    lost = {copy.store for copy in image.locations if copy.is_lost}
    here = [store for store in rule.stores if conditions.get(store, GONE).holds]
    yield from (store for store in here if store in good)
    yield from (store for store in here if store in lost)
    yield from (store for store in here if store not in good | lost and conditions[store].takes)


def _wanted_step(store: str, names: Sequence[str], image: Image, condition: Condition) -> Step:
    rules = tuple(names)
    for copy in image.locations:
        if copy.store == store and copy.is_lost:
            reason = f"its copy is {copy.finding}; the auditor replaces it"
            return Step(store, Action.WAIT, rules, reason)
        if copy.store == store:
            return Step(store, Action.KEEP, rules, condition.why)
    return Step(store, Action.ADD, rules, "it has no copy yet")


def _surplus_step(
    store: str, condition: Condition, *, is_exact: bool, is_true: bool, lacking: Sequence[str]
) -> Step:
    """Say what becomes of a copy that no rule asks for."""
    why = "no rule asks for it" + (f", and {condition.why}" if condition.why else "")
    if not condition.is_drained and not is_exact:
        return Step(store, Action.KEEP, (), why)
    if not is_true:
        wait = f"rule {lacking[0]} lacks stores" if lacking else "other copies come first"
        return Step(store, Action.WAIT, (), f"{why}; {wait}")
    return Step(store, Action.REMOVE if condition.gives else Action.WAIT, (), why)
