# SPDX-License-Identifier: Apache-2.0
"""``glancekit audit``: what audits found of copies, and audits at once.

For the operator on a host of the service; how a copy is judged is the services' business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show

if TYPE_CHECKING:
    from glancekit.core.model.image import Image, Location
    from glancekit.core.stores import Store
    from glancekit.services.keeping.orphan_rounds import Outcome
    from glancekit.services.keeping.orphans import Orphan
    from glancekit.services.keeping.report import Problem, Progress
    from glancekit.services.world import World

_PROBLEM = ("kind", "image", "store", "damaged", "audited_at", "verified_at", "reason")
_PROGRESS = ("store", "available", "looked_at_last", "behind")
_COPY = ("store", "status", "finding", "audited_at", "verified_at", "reason")
_ORPHAN = ("store", "image", "size", "modified_at", "url", "removed", "reason")
_RESULT = ("image", "store", "finding", "repaired", "reason")


@click.group()
def audit() -> None:
    """Show what audits found of images' copies, and audit at once."""


@audit.command()
@click.option("--stores", "of_stores", is_flag=True, help="How far audits of each store are.")
@click.option(
    "--records",
    is_flag=True,
    help="Look for records that lead to the same bytes, too; it reads the records of all images.",
)
@format_option
@click.pass_obj
def report(invocation: Invocation, of_stores: bool, records: bool, shape: Shape) -> None:
    """List what is wrong: bad, missing, unreadable copies, and data without a record.

    The exit code is 1 when there is anything.
    """
    from glancekit.services.keeping import report as reporting

    with _world(invocation) as world:
        if of_stores:
            show(_PROGRESS, [_progress(one) for one in reporting.progress(world)], shape)
            return
        found = [_problem(one) for one in reporting.problems(world)]
        if records:
            found += [_problem(one) for one in reporting.doubles(world)]
    show(_PROBLEM, found, shape)
    if found:
        raise click.exceptions.Exit(1)


@audit.command("show")
@click.argument("image_id", metavar="IMAGE")
@format_option
@click.pass_obj
def show_image(invocation: Invocation, image_id: str, shape: Shape) -> None:
    """Show what is known of each copy of an image."""
    with _world(invocation) as world, world.metadata.unit_of_work(read_only=True) as work:
        work.images.get(image_id)
        rows = [_copy(row) for row in work.locations.of_image(image_id)]
    show(_COPY, rows, shape)


@audit.command()
@click.argument("image_id", metavar="[IMAGE]", required=False)
@format_option
@click.pass_obj
def run(invocation: Invocation, image_id: str | None, shape: Shape) -> None:
    """Audit every copy of an image now; without IMAGE, all copies that are due.

    Lost copies are replaced where [auditor] repair lets that be. The exit code is 1 when one is
    left that is not good.
    """
    with _world(invocation) as world:
        if image_id is None:
            click.echo(_run_due(world), err=True)
            return
        with world.metadata.unit_of_work(read_only=True) as work:
            image = work.images.get(image_id)
        rows = _run_image(world, image)
    show(_RESULT, rows, shape)
    if any(row["finding"] != "good" for row in rows):
        raise click.exceptions.Exit(1)


@audit.command()
@click.option("--store", "store_ids", multiple=True, metavar="STORE", help="In this store only.")
@click.option(
    "--older",
    type=click.FloatRange(min=0),
    metavar="HOURS",
    help="What has been there for so long. Default: [auditor] orphan_age.",
)
@click.option("--delete", is_flag=True, help="Remove it. Otherwise it is only listed.")
@click.option("--most", is_flag=True, help="Remove it even where most of a store has no record.")
@click.option(
    "--per-second",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Removals in a second at most.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="Show so many at most; all are counted, and removed.",
)
@format_option
@click.pass_obj
def orphans(
    invocation: Invocation,
    *,
    store_ids: Sequence[str],
    older: float | None,
    delete: bool,
    most: bool,
    per_second: float,
    limit: int,
    shape: Shape,
) -> None:
    """Look through the stores for data that no record leads to.

    With --delete each is looked at once more, and removed where it is still so. The exit code is 1
    when any is left.
    """
    from glancekit.core.errors import Conflict, StoreError

    rows: list[dict[str, Any]] = []
    is_left = False
    with _world(invocation) as world:
        age = world.auditing.orphan_age if older is None else timedelta(hours=older)
        for store in _to_look_through(world, store_ids):
            try:
                if delete:
                    looked = _remove_orphans(world, store, age, per_second, most=most)
                else:
                    looked = _list_orphans(world, store, age)
                for row in looked:
                    is_left = is_left or not row["removed"]
                    if len(rows) < limit:
                        rows.append(row)
            except (StoreError, Conflict) as error:
                is_left = True
                click.echo(str(error), err=True)
    show(_ORPHAN, rows, shape)
    if is_left:
        raise click.exceptions.Exit(1)


def _to_look_through(world: World, store_ids: Sequence[str]) -> Sequence[Store]:
    """Return the stores that are named, or all that can be listed; say which cannot."""
    from glancekit.core.contracts.store import SupportsListing
    from glancekit.services.keeping.orphan_rounds import listable

    if store_ids:
        named = [world.stores.get(store_id) for store_id in store_ids]
        for store in named:
            store.require(SupportsListing)
        return named
    found = listable(world)
    for store in world.stores:
        if store not in found:
            click.echo(f"store {store.id} cannot tell what is in it", err=True)
    return found


def _list_orphans(world: World, store: Store, age: timedelta) -> Iterator[dict[str, Any]]:
    from glancekit.services.keeping.orphan_rounds import keep
    from glancekit.services.keeping.orphans import Look

    look = Look(world, store, age)
    for orphan in look.orphans():
        yield _orphan(orphan)
    tally = look.tally
    if age == world.auditing.orphan_age:
        keep(world, store, tally)
    click.echo(
        f"store {store.id}: {tally.orphans} of {tally.blobs} images lead to no record, with "
        f"{tally.bytes} bytes; {tally.young} more are too new to be judged",
        err=True,
    )


def _remove_orphans(
    world: World, store: Store, age: timedelta, per_second: float, *, most: bool
) -> Iterator[dict[str, Any]]:
    from glancekit.services.keeping.orphan_rounds import (
        remove_all,
        require_plausible,
        require_removable,
    )
    from glancekit.services.keeping.orphans import Look

    require_removable(store)
    if not most:
        first = Look(world, store, age)
        for _ in first.orphans():
            continue
        require_plausible(store, first.tally)
    removed = stays = 0
    for outcome in remove_all(world, store, age, per_second=per_second):
        removed += outcome.is_removed
        stays += not outcome.is_removed
        yield _orphan(outcome.orphan, outcome)
    click.echo(f"store {store.id}: {removed} removed, {stays} not", err=True)


def _orphan(orphan: Orphan, outcome: Outcome | None = None) -> dict[str, Any]:
    return {
        "store": orphan.store,
        "image": orphan.image_id,
        "size": orphan.size,
        "modified_at": orphan.modified_at,
        "url": orphan.shown_url,
        "removed": outcome is not None and outcome.is_removed,
        "reason": "" if outcome is None else outcome.reason,
    }


def _run_due(world: World) -> str:
    from glancekit.services.keeping.auditing import Auditor

    return str(Auditor(world).run() or "nothing was due")


def _run_image(world: World, image: Image) -> Sequence[dict[str, Any]]:
    from glancekit.services.keeping.examining import examine
    from glancekit.services.keeping.healing import heal

    for copy in image.locations:
        examine(world, copy)
    outcomes = {}
    for copy in _copies_of(world, image.id):
        if copy.is_lost and world.auditing.repair:
            outcomes[copy.id] = heal(world, copy)
    return [
        {
            "image": image.id,
            "store": copy.store,
            "finding": copy.finding,
            "repaired": copy.id in outcomes and outcomes[copy.id].is_repaired,
            "reason": outcomes[copy.id].reason if copy.id in outcomes else copy.reason,
        }
        for copy in _copies_of(world, image.id)
    ]


def _copies_of(world: World, image_id: str) -> Sequence[Location]:
    with world.metadata.unit_of_work(read_only=True) as work:
        return work.images.get(image_id).locations


@contextmanager
def _world(invocation: Invocation) -> Iterator[World]:
    from glancekit.bootstrap import bootstrap

    with bootstrap(invocation.load_config()) as world:
        yield world


def _progress(one: Progress) -> dict[str, Any]:
    return {
        "store": one.store,
        "available": one.is_available,
        "looked_at_last": "never" if one.is_new else one.oldest,
        "behind": one.is_behind,
    }


def _problem(one: Problem) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "image": one.image_id,
        "store": one.store,
        "damaged": one.is_image_damaged,
        "audited_at": one.audited_at,
        "verified_at": one.verified_at,
        "reason": one.reason,
    }


def _copy(row: Location) -> dict[str, Any]:
    return {
        "store": row.store,
        "status": row.status,
        "finding": row.finding,
        "audited_at": row.audited_at,
        "verified_at": row.verified_at,
        "reason": row.reason,
    }
