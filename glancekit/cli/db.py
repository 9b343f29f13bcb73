# SPDX-License-Identifier: Apache-2.0
"""``glancekit db``: the metadata backend's schema. How it is changed is the driver's business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from glancekit.cli import Invocation, backup
from glancekit.core.contracts.metadata import SupportsMigration
from glancekit.core.errors import PluginError, SchemaMismatch

UPGRADE_NEEDED = 3
NOT_OURS = 4


@click.group()
def db() -> None:
    """Look after the database schema."""


db.add_command(backup.dump)
db.add_command(backup.load)


@db.command()
@click.pass_obj
def version(invocation: Invocation) -> None:
    """Show the revision of the database and the one that this release needs."""
    with _schema(invocation) as schema:
        click.echo(f"database: {schema.version() or 'empty'}")
        click.echo(f"release:  {schema.head()}")


@db.command()
@click.pass_obj
def upgrade(invocation: Invocation) -> None:
    """Bring the database to what this release needs. Harmless when it is there already."""
    with _schema(invocation) as schema:
        before = schema.version()
        schema.upgrade()
        after = schema.version()
    if before == after:
        click.echo(f"The database is at revision {after}, as this release needs it.")
    else:
        click.echo(f"The database went from revision {before or 'none'} to {after}.")


@db.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say by the exit code whether the database fits this release.

    0: it does. 3: 'glancekit db upgrade' is needed. 4: it is not glancekit's, or of a newer
    release. 1: that could not be found out.
    """
    with _schema(ctx.obj) as schema:
        try:
            found = schema.version()
        except SchemaMismatch as error:
            click.echo(str(error))
            ctx.exit(NOT_OURS)
        head = schema.head()
    if found == head:
        click.echo(f"The database is at revision {head}, as this release needs it.")
        return
    click.echo(
        f"The database is at revision {found or 'none'}, this release needs {head}; "
        "run 'glancekit db upgrade'."
    )
    ctx.exit(UPGRADE_NEEDED)


@contextmanager
def _schema(invocation: Invocation) -> Iterator[SupportsMigration]:
    from glancekit.bootstrap import load_metadata

    driver = load_metadata(invocation.load_config())
    try:
        if not isinstance(driver, SupportsMigration):
            name = type(driver).__name__
            raise PluginError(
                f"The metadata driver {name} has no schema that could be looked after; "
                "it keeps that in order by itself."
            )
        yield driver
    finally:
        driver.close()
