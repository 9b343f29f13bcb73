# SPDX-License-Identifier: Apache-2.0
"""The command ``glancekit old``: it lists the images of a project. What the program offers to
such a module is in ``docs/reference/hooks.rst`` of glancekit.
"""

from __future__ import annotations

import click

from glancekit.plugin import ImageQuery, IntOpt, Invalid, ReadSection, Workbench, hookimpl

api_level = 1

SECTION = "old"
OPTIONS = (IntOpt("old_most", default=100, min=1, help="How many images are looked at."),)


@hookimpl
def register_commands(read_section: ReadSection, workbench: Workbench) -> list[click.Command]:
    """Offer ``glancekit old``. Nothing is read before a command runs."""

    @click.group("old")
    def group() -> None:
        """Look at images."""

    @group.command("list")
    @click.option("--project", help="The project whose images are listed. Default: all.")
    def list_images(project: str | None) -> None:
        """List the newest images."""
        if project == "":
            raise Invalid("a project's id is not empty")
        most = read_section(SECTION, OPTIONS).old_most
        config, _ = workbench.configuration()
        with workbench.metadata(config) as metadata, metadata.unit_of_work(read_only=True) as work:
            found = work.images.find(ImageQuery(limit=most)).images
        for image in found:
            if project in (None, image.owner):
                click.echo(f"{image.id} {image.name or ''}".rstrip())

    return [group]
