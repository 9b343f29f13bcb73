# SPDX-License-Identifier: Apache-2.0
"""``glancekit db``: the metadata backend's schema. How it is changed is the driver's business."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from glancekit.cli import Invocation, backup
from glancekit.core.contracts.metadata import (
    MetadataDriver,
    SupportsDowngrade,
    SupportsMigration,
    SupportsStatistics,
)
from glancekit.core.errors import PluginError, SchemaMismatch
from glancekit.services.tasks import forget_expired

UPGRADE_NEEDED = 3
NOT_OURS = 4


@dataclass(frozen=True, slots=True)
class _Records:
    """What the clearing of tasks works with."""

    metadata: MetadataDriver


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
@click.option("--check", "only_check", is_flag=True, help="Say what would be done; as 'check'.")
@click.pass_context
def upgrade(ctx: click.Context, only_check: bool) -> None:
    """Bring the database to what this release needs. Harmless when it is there already."""
    if only_check:
        ctx.invoke(check)
        return
    with _schema(ctx.obj) as schema:
        before = schema.version()
        schema.upgrade()
        after = schema.version()
    if before == after:
        click.echo(f"The database is at revision {after}, as this release needs it.")
    else:
        click.echo(f"The database went from revision {before or 'none'} to {after}.")


@db.command()
@click.argument("revision")
@click.option(
    "--check", "only_check", is_flag=True, help="Say what would be lost; change nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def downgrade(invocation: Invocation, revision: str, only_check: bool, yes: bool) -> None:
    """Bring the database back to an earlier REVISION, for an earlier release.

    Stop the service on all hosts before, and make a backup: what later revisions brought is lost.
    """
    with _driver(invocation, SupportsDowngrade, "go back to an earlier revision") as driver:
        for lost in driver.undone_by_downgrade(revision):
            click.echo(f"{'would be' if only_check else 'to be'} undone: {lost}")
        if only_check:
            return
        if not yes:
            click.confirm("What is kept in these is lost. Go on?", abort=True)
        driver.downgrade(revision)
    click.echo(f"The database is at revision {revision}.")


@db.command()
@click.pass_obj
def stats(invocation: Invocation) -> None:
    """Show how many rows each table has."""
    with _driver(invocation, SupportsStatistics, "say how much it keeps") as driver:
        counts = driver.statistics()
    width = max(map(len, counts), default=0)
    for name, count in counts.items():
        click.echo(f"{name:{width}}  {count:>12,}")


@db.command()
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True)
@click.pass_obj
def purge(invocation: Invocation, days: int) -> None:
    """Forget what is over since so many DAYS: expired tasks, events that all were told, leases.

    The service does so by itself, too. Ids of deleted images are never forgotten.
    """
    before = datetime.now(UTC) - timedelta(days=days)
    driver = _load(invocation)
    try:
        driver.start()
        counts = {"tasks": forget_expired(_Records(driver), before=before)}
        with driver.unit_of_work() as work:
            counts |= {
                "events": work.events.prune(before),
                "leases": work.leases.prune(before),
            }
            work.commit()
    finally:
        driver.close()
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()) + " forgotten")


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


def _schema(invocation: Invocation) -> AbstractContextManager[SupportsMigration]:
    return _driver(invocation, SupportsMigration, "be looked after: it has no schema to be seen")


@contextmanager
def _driver(invocation: Invocation, capability: type[Any], what: str) -> Iterator[Any]:
    """Lend the metadata driver, not started, if it has a capability."""
    driver = _load(invocation)
    try:
        if not isinstance(driver, capability):
            name = type(driver).__name__
            raise PluginError(
                f"The metadata driver {name} cannot {what} (it lacks {capability.__name__})"
            )
        yield driver
    finally:
        driver.close()


def _load(invocation: Invocation) -> MetadataDriver:
    from glancekit.bootstrap.parts import load_metadata

    return load_metadata(invocation.load_config())
