# SPDX-License-Identifier: Apache-2.0
"""Commands that installed packages add (hook ``register_commands``).

Their names are those of their entry points, so that nothing is imported to list them.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from glancekit.core.hookspecs import ReadSection, Workbench

_GROUP = "glancekit.commands"
"""As in core/drivers, which takes longer to import than all the rest of ``glancekit --help``."""

PATIENCE = 5.0
"""Seconds that a package has to be imported: the configuration, which could say, is not read."""


def names(*, besides: Collection[str] = ()) -> dict[str, str]:
    """Return the names of the commands, each with its line in the list of commands."""
    points = sorted(entry_points(group=_GROUP), key=lambda point: point.name)
    return {
        point.name: f"From {point.dist.name if point.dist else 'a package'}."
        for point in points
        if point.name not in besides
    }


def load(name: str, read_section: ReadSection, workbench: Workbench) -> click.Command | None:
    """Return a command, or None when nothing offers one of that name.

    :raises PluginError: when the package that offers it cannot be used.
    """
    if name not in names():
        return None
    from glancekit.core import drivers
    from glancekit.core.errors import PluginError
    from glancekit.core.hooks import Hooks

    wanted = drivers.Wanted(group=_GROUP, name=name, use="command", build=_as_it_is)
    loaded = drivers.load_all([wanted], deadline=PATIENCE)[0]
    if loaded.error is not None:
        raise loaded.error
    hooks = Hooks(patience=PATIENCE)
    hooks.add(name, loaded.driver)
    for command in hooks.register_commands(read_section, workbench):
        if isinstance(command, click.Command) and command.name == name:
            return command
    raise PluginError(
        group=_GROUP, name=name, reason=f"its register_commands returned no command {name!r}"
    )


def _as_it_is(plugin: Any) -> Any:
    return plugin
