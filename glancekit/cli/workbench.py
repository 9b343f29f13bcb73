# SPDX-License-Identifier: Apache-2.0
"""What commands of installed packages use of the program. What they do is their own business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import click

from glancekit.core.hookspecs import ReadSection, Workbench

if TYPE_CHECKING:
    from glancekit.core.config import Configuration
    from glancekit.core.contracts.metadata import MetadataDriver
    from glancekit.core.drivers import PluginReport


def late_sections(ctx: click.Context) -> ReadSection:
    """Return what reads a section of the configuration when a command needs it."""

    def read_section(section: str, options: Sequence[Any]) -> Any:
        config = ctx.find_root().obj.load_config()
        config.register(section, options)
        return config.section(section)

    return read_section


class LateWorkbench(Workbench):
    """Reads and builds when a command asks for it: help shall do neither."""

    def __init__(self, ctx: click.Context) -> None:
        self._ctx = ctx

    def configuration(
        self, files: Sequence[str] = ()
    ) -> tuple[Configuration, Sequence[PluginReport]]:
        """See the hook."""
        from glancekit.bootstrap import load_config
        from glancekit.bootstrap.parts import load_parts
        from glancekit.core.drivers import PluginState

        config = load_config(files or self._ctx.find_root().obj.config_files)
        reports = load_parts(config).plugins
        return config, [report for report in reports if report.state is not PluginState.OK]

    def metadata(self, config: Configuration) -> AbstractContextManager[MetadataDriver]:
        """See the hook."""
        return _opened(config)


@contextmanager
def _opened(config: Configuration) -> Iterator[MetadataDriver]:
    from glancekit.bootstrap.parts import load_metadata

    driver = load_metadata(config)
    try:
        driver.start()
        yield driver
    finally:
        driver.close()
