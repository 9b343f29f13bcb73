# SPDX-License-Identifier: Apache-2.0
"""``glancekit serve``: the image service. How it serves is the business of glancekit/serving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.core.errors import MetadataUnavailable, Unavailable

if TYPE_CHECKING:
    from glancekit.core.config import Configuration
    from glancekit.services.world import World
    from glancekit.wsgi import Service

_OPTIONS = {
    "data_dir": ("DEFAULT", "data_dir"),
    "host": ("server", "host"),
    "port": ("server", "port"),
    "unix_socket": ("server", "unix_socket"),
    "workers": ("server", "workers"),
    "certfile": ("server", "certfile"),
    "keyfile": ("server", "keyfile"),
    "unsafe_allow_unauthenticated_access": ("server", "unsafe_allow_unauthenticated_access"),
}
"""Where each flag belongs in the configuration, over which it counts."""


@click.command(context_settings={"show_default": False})
@click.option("--host", metavar="ADDRESS", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (9292).")
@click.option("--unix-socket", metavar="PATH", help="Listen on a local socket instead.")
@click.option("--data-dir", metavar="FOLDER", help="Where everything is kept.")
@click.option(
    "--config-file", "config_files", multiple=True, metavar="FILE", help="As before the command."
)
@click.option("--workers", type=click.IntRange(1), help="Processes (one for each CPU, 2 to 8).")
@click.option("--certfile", metavar="FILE", help="Certificate (PEM) to serve TLS with.")
@click.option("--keyfile", metavar="FILE", help="Its private key (PEM).")
@click.option(
    "--unsafe-allow-unauthenticated-access",
    is_flag=True,
    default=None,
    help="Listen beyond loopback although nobody has to say who they are.",
)
@click.pass_obj
def serve(invocation: Invocation, /, config_files: tuple[str, ...], **given: Any) -> None:
    """Run the image service until it is told to stop.

    SIGTERM lets transfers end; a second one, or Ctrl-C, does not. What is given here counts more
    than the configuration files.
    """
    # Imported before the workers are forked, which then share what was imported.
    from glancekit.api import metrics
    from glancekit.bootstrap import bootstrap
    from glancekit.bootstrap.parts import preload
    from glancekit.serving.addresses import require_local
    from glancekit.serving.server import Server, ServerSettings

    files = (*invocation.config_files, *config_files)
    config = replace(invocation, config_files=files).load_config(
        {_OPTIONS[flag]: value for flag, value in given.items() if value is not None}
    )
    metrics.prepare(config)
    preload(config)
    options = config.section("server")
    settings = ServerSettings.of(options)

    def check() -> None:
        metrics.Metrics.of(config)
        with _awaited(bootstrap, config) as world:
            if world.auth.loopback_only and not options.unsafe_allow_unauthenticated_access:
                require_local(settings.address)

    def build() -> Service:
        from glancekit.wsgi import Service

        return Service(config)

    # The API takes as long to import as the check takes, which does without it.
    prepare = partial(import_module, "glancekit.wsgi")
    Server(settings, build=build, check=check, prepare=prepare).run()


def _awaited(bootstrap: Callable[[Configuration], World], config: Configuration) -> World:
    """Build the world, or say what the start waits for.

    :raises Unavailable: when the database does not answer, which may be over in a moment.
    """
    try:
        return bootstrap(config)
    except MetadataUnavailable as error:
        raise Unavailable(
            f"{error}. Start the database, or mend its address in [metadata]; "
            "'glancekit plugins doctor' tries it out"
        ) from error
