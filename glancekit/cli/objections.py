# SPDX-License-Identifier: Apache-2.0
"""What the start of the service would stumble over, all of it at once. Mending is the operator's.

Values of options are checked as they are read, plugins as they are loaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Event

from glancekit.api.metrics import Metrics
from glancekit.api.options import ApiSettings
from glancekit.api.v2.schemas.known_properties import known_properties
from glancekit.bootstrap.settings import flow_settings, placement_of, rule_files_of, settings_of
from glancekit.core import drivers
from glancekit.core.config import Configuration
from glancekit.core.errors import ConfigError
from glancekit.services.rule_files import read as read_rules
from glancekit.serving.server import ServerSettings


def objections(config: Configuration, *more: Callable[[], object]) -> list[str]:
    """Return what the start would object to besides values of options and plugins, all of it.

    :param more: further looks, each of which objects by a ``ConfigError``.
    """
    looks: tuple[Callable[[], object], ...] = (
        lambda: read_rules(rule_files_of(config)),
        lambda: placement_of(config, Event()),
        lambda: known_properties(settings_of(config).schema_image_file, taken=()),
        lambda: flow_settings(config),
        lambda: ServerSettings.of(config.section("server")),
        lambda: ApiSettings.of(config),
        lambda: Metrics.of(config),
        lambda: _require_data_dir(config),
        lambda: _require_switchable(config),
        *more,
    )
    found = []
    for look in looks:
        try:
            look()
        except ConfigError as error:
            found.append(str(error))
    return found


def _require_switchable(config: Configuration) -> None:
    installed = {offer.report.name for offer in drivers.offers_of(drivers.HOOKS)}
    unknown = sorted(set(config.get("plugins", "disabled")) - installed)
    if unknown:
        raise ConfigError(
            f"[plugins] disabled: no plugin with hooks is called {', '.join(unknown)}; installed "
            f"are: {', '.join(sorted(installed))}"
        )


def _require_data_dir(config: Configuration) -> None:
    """Object to a folder that cannot be used, without making it."""
    place = next(one for one in (config.data_dir, *config.data_dir.parents) if one.exists())
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise ConfigError(
            f"[DEFAULT] data_dir = {config.data_dir} cannot be used: this user cannot write to "
            f"{place}; name another folder, or give the right to write there"
        )
