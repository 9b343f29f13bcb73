# SPDX-License-Identifier: Apache-2.0
"""``glancekit registry``: runs it in front of the configured backend. Serving is server.py's."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any

import click

from glancekit.plugin import ConfigError, ReadSection, Workbench, hookimpl
from glancekit_registry_metadata.options import SERVER_OPTIONS, SERVER_SECTION
from glancekit_registry_metadata.server import Registry

api_level = 1

log = logging.getLogger(__name__)


@hookimpl
def register_commands(read_section: ReadSection, workbench: Workbench) -> list[click.Command]:
    """Offer ``glancekit registry``."""

    @click.command()
    @click.option("--host", help="Address to listen on, instead of [registry] bind_host.")
    @click.option("--port", type=click.IntRange(0, 65535), help="Port, instead of bind_port.")
    def registry(host: str | None, port: int | None) -> None:
        """Serve the metadata backend to API nodes that hold no database password.

        It is private: bound to loopback or a private address, and for clients only that have the
        shared key or a certificate. SIGTERM ends it when what is under way has ended.
        """
        options = read_section(SERVER_SECTION, SERVER_OPTIONS)
        if host is not None:
            options.bind_host = host
        if port is not None:
            options.bind_port = port
        _serve(workbench, options)

    return [registry]


def _serve(workbench: Workbench, options: Any) -> None:
    config, _ = workbench.configuration()
    if config.get("metadata", "driver") == "registry":
        raise ConfigError(
            "The registry needs a metadata backend of its own: [metadata] driver is 'registry', "
            "which is for those who use one"
        )
    with workbench.metadata(config) as driver:
        try:
            server = Registry(driver, options)
        except OSError as error:
            raise ConfigError(
                f"The registry cannot listen on {options.bind_host} port {options.bind_port}: "
                f"{error.strerror}"
            ) from error
        _stop_when_told(server)
        click.echo(f"registry on {server.url}", err=True)
        with server:
            server.serve_forever(poll_interval=0.2)
            server.wait_for_work(options.work_timeout)
            server.end_connections()
    log.info("the registry has ended")


def _stop_when_told(server: Registry) -> None:
    def stop(*_: object) -> None:
        # shutdown() waits for serve_forever, which this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
