# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugins`` and ``glancekit stores``: what is there, and how it is."""

from __future__ import annotations

from dataclasses import asdict

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.contracts.store import CAPABILITIES

_PLUGIN_COLUMNS = (
    *("group", "name", "state", "use", "distribution", "version", "api_level"),
    *("capabilities", "reason"),
)
_STORE_COLUMNS = (
    *("id", "driver", "state", "default", "read_only", "weight", "capabilities"),
    *("description", "reason"),
)


@click.command()
@format_option
@click.pass_obj
def plugins(invocation: Invocation, shape: Shape) -> None:
    """Show every installed plugin: what it is for, whether it works, and if not why.

    Those that the configuration names are built as the service would build them; the others are
    imported, and built with the defaults of their options where these suffice.
    """
    from glancekit.bootstrap import load_parts
    from glancekit.core.survey import unused

    config = invocation.load_config()
    used = load_parts(config).plugins
    reports = [*used, *unused(config, used)]
    show(_PLUGIN_COLUMNS, [asdict(report) for report in reports], shape)


@click.command()
@format_option
@click.pass_obj
def stores(invocation: Invocation, shape: Shape) -> None:
    """Show every configured store and what it can do."""
    from glancekit.bootstrap import load_parts

    config = invocation.load_config()
    parts = load_parts(config)
    rows = []
    for entry, loaded in parts.stores.items():
        able = loaded.report.capabilities
        options = config.section(entry.id)
        rows.append(
            {
                "id": entry.id,
                "driver": entry.driver,
                "state": loaded.report.state,
                "default": entry.id == config.default_store,
                "read_only": getattr(options, "read_only", None),
                "weight": getattr(options, "weight", None),
                "capabilities": [kind.__name__ for kind in CAPABILITIES if kind.__name__ in able],
                "description": getattr(options, "store_description", ""),
                "reason": loaded.report.reason,
            }
        )
    show(_STORE_COLUMNS, rows, shape)
