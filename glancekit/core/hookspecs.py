# SPDX-License-Identifier: Apache-2.0
"""The hooks: every moment at which a plugin may listen, as one list. hooks.py calls them.

The prefix of a name tells what the return value means:

* ``register_*``  things to collect, once, at start
* ``after_*``     ignored; a listener that raises is logged, the others are still told
* ``choose_*``    the first answer that is not None and makes sense; without one, the default
* ``should_*``    yes or no: the first answer that is True or False; without one, yes

Listeners may take fewer arguments than the hook offers. A hook is never renamed or removed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

if TYPE_CHECKING:
    from glancekit.core.config import Configuration
    from glancekit.core.contracts.metadata import MetadataDriver
    from glancekit.core.drivers import PluginReport
    from glancekit.core.model.events import Event
    from glancekit.core.model.image import Image
    from glancekit.core.periodic import PeriodicTask, PeriodicWorld
    from glancekit.core.stores import Stores

PROJECT = "glancekit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

ReadSection = Callable[[str, Sequence[Any]], Any]
"""Takes a section's name and its options as they are declared; returns the values that the
configuration gives them, as attributes. It raises ``ConfigError`` where these make no sense."""


class Workbench(Protocol):
    """What else of the program a command may use once it runs."""

    @abstractmethod
    def configuration(
        self, files: Sequence[str] = ()
    ) -> tuple[Configuration, Sequence[PluginReport]]:
        """Read a configuration, of these files or of those that the command line names.

        The options of all drivers that it names are known, but for those of whose plugins a
        report says why they cannot be used. Nothing is started.

        :raises ConfigError: when a file cannot be read, or a value makes no sense.
        """
        ...

    @abstractmethod
    def metadata(self, config: Configuration) -> AbstractContextManager[MetadataDriver]:
        """Open the metadata backend that a configuration names, started, and close it again.

        :raises PluginError: when its driver cannot be used.
        :raises MetadataError: when the backend cannot be used.
        """
        ...


# -- at start ----------------------------------------------------------------------------------


@hookspec
def register_periodic_tasks(world: PeriodicWorld) -> list[PeriodicTask]:  # type: ignore[empty-body]
    """Return what should run every so often, in one process of the whole service."""


# -- on the command line -----------------------------------------------------------------------


@hookspec
def register_commands(  # type: ignore[empty-body]
    read_section: ReadSection, workbench: Workbench
) -> list[Any]:
    """Return click commands. The configuration is there to be read once one of them runs."""


# -- stores ------------------------------------------------------------------------------------


@hookspec(firstresult=True)
def choose_store(
    image: Image, size: int | None, project_id: str | None, stores: Stores
) -> str | None:
    """Return the id of the store that takes an image for which nobody named one, or None."""


@hookspec(firstresult=True)
def should_cache(image: Image, stores: Stores) -> bool | None:
    """Return whether an image is worth a place in the image cache, or None."""


# -- metadata ----------------------------------------------------------------------------------


@hookspec
def after_commit(events: Sequence[Event]) -> None:
    """Hear what happened, in order, at least once each, even after a crash."""
