# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugins``: what is installed, and how it is."""

from __future__ import annotations

from dataclasses import asdict

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show

_PLUGIN_COLUMNS = (
    *("group", "name", "state", "use", "distribution", "version", "api_level"),
    *("capabilities", "reason"),
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
