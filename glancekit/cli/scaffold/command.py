# SPDX-License-Identifier: Apache-2.0
"""``glancekit plugin``: what its author types. Which files it makes is the business of writing."""

from __future__ import annotations

from pathlib import Path

import click

from glancekit.cli.scaffold.kinds import KINDS


@click.group()
def plugin() -> None:
    """Begin a plugin of your own."""


@plugin.command()
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
@click.argument("name", metavar="NAME")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Where to put it; it must not exist. Default: the package's name, here.",
)
def new(kind: str, name: str, folder: Path | None) -> None:
    """Write a package whose tests pass at once, to be changed into a plugin of your own.

    KIND is one of store, metadata, auth, limits, cache-policy, import-method, import-step,
    signature, hooks, periodic-task, commands. NAME is what an operator will write into the
    configuration, or type as a command: acme for instance.
    """
    from glancekit.cli.scaffold.writing import distribution_of, write

    chosen = KINDS[kind]
    target = folder or Path(distribution_of(chosen, name))
    for path in write(chosen, name, target):
        click.echo(target / path)
    click.echo("\nNow:")
    for line in (f"cd {target}", "pip install 'glancekit[testing]' --editable .", "pytest"):
        click.echo(f"    {line}")
