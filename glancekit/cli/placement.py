# SPDX-License-Identifier: Apache-2.0
"""``glancekit placement``: rules on where copies should be, and what they mean for an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show

if TYPE_CHECKING:
    from glancekit.core.model.image import Location
    from glancekit.services.keeping.planning import Step
    from glancekit.services.keeping.rules import Rule

_RULE = ("name", "match", "copies", "stores", "exact")
_STEP = ("store", "copy", "action", "rules", "reason")


@click.group()
def placement() -> None:
    """Show the rules on where copies should be, and what they mean for an image."""


@placement.command("show")
@format_option
@click.pass_obj
def show_rules(invocation: Invocation, shape: Shape) -> None:
    """List the rules, as the service reads them."""
    from glancekit.bootstrap import bootstrap

    with bootstrap(invocation.load_config()) as world:
        rules = world.placement.rules()
    show(_RULE, [_rule(rule) for rule in rules], shape)


@placement.command()
@click.argument("image_id", metavar="IMAGE")
@format_option
@click.pass_obj
def explain(invocation: Invocation, image_id: str, shape: Shape) -> None:
    """Show for each store whether an image has a copy there, what is to happen, and why.

    A store that does not answer counts as away here, however long that has been so.
    """
    from glancekit.bootstrap import bootstrap
    from glancekit.services.keeping.placing import Keeper

    with bootstrap(invocation.load_config()) as world:
        with world.metadata.unit_of_work(read_only=True) as work:
            image = work.images.get(image_id)
        steps = Keeper(world).plan(image)
    copies = {copy.store: copy for copy in image.locations}
    show(_STEP, [_step(step, copies) for step in steps], shape)


def _rule(rule: Rule) -> dict[str, Any]:
    match = {
        "visibility": sorted(rule.visibilities),
        "projects": sorted(rule.projects),
        "tags": sorted(rule.tags),
        "properties": dict(rule.properties),
    }
    return {
        "name": rule.name,
        "match": {name: value for name, value in match.items() if value},
        "copies": rule.copies,
        "stores": list(rule.stores),
        "exact": rule.exact,
    }


def _step(step: Step, copies: Mapping[str, Location]) -> dict[str, Any]:
    copy = copies.get(step.store)
    return {
        "store": step.store,
        "copy": None if copy is None else copy.finding or "not audited",
        "action": step.action,
        "rules": list(step.rules),
        "reason": step.reason,
    }
