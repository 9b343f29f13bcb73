# SPDX-License-Identifier: Apache-2.0
"""``glancekit usage``: what projects took of stores, in byte-hours. What it costs is not its
business.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Row, Shape, format_option, show
from glancekit.core.storage_use import BYTE_HOUR, DAY, StorageUse

if TYPE_CHECKING:
    from glancekit.core.contracts.metadata import MetadataDriver

_SUMS = ("project", "store", "byte_hours")
_DAYS = ("day", *_SUMS)

_DATE = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.option("--project", metavar="ID", help="This project alone.")
@click.option("--store", metavar="ID", help="This store alone.")
@click.option("--from", "first", type=_DATE, help="The first day. Default: the first there is.")
@click.option("--to", "last", type=_DATE, help="The last day. Default: today.")
@click.option("--daily", is_flag=True, help="Tell each day apart instead of the sum of all.")
@format_option
@click.pass_obj
def usage(
    invocation: Invocation,
    project: str | None,
    store: str | None,
    first: datetime | None,
    last: datetime | None,
    daily: bool,
    shape: Shape,
) -> None:
    """Show what projects took of each store, in byte-hours, up to now.

    A gigabyte that was kept for a day is 24,000,000,000 of them; what is begun of one does not
    show. Days are those of UTC.
    """
    from glancekit.services import ledger

    span = ledger.Span(
        since=ledger.EARLIEST if first is None else first.replace(tzinfo=UTC),
        until=ledger.LATEST if last is None else last.replace(tzinfo=UTC) + DAY,
        project_id=project,
        store=store,
    )
    with _metadata(invocation) as metadata:
        ledger.settle(metadata)
        with metadata.unit_of_work(read_only=True) as work:
            found = ledger.entries(work, span)
            rows = [_daily(use) for use in found] if daily else _sums(found)
    show(_DAYS if daily else _SUMS, rows, shape)


def _daily(use: StorageUse) -> Row:
    return {
        "day": use.day.date().isoformat(),
        "project": use.project_id,
        "store": use.store,
        "byte_hours": use.byte_hours,
    }


def _sums(found: Iterable[StorageUse]) -> list[Row]:
    amounts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for use in found:
        amounts[use.project_id, use.store] += use.amount
    return [
        {"project": project, "store": store, "byte_hours": amount // BYTE_HOUR}
        for (project, store), amount in sorted(amounts.items())
    ]


@contextmanager
def _metadata(invocation: Invocation) -> Iterator[MetadataDriver]:
    from glancekit.bootstrap.parts import load_metadata

    metadata = load_metadata(invocation.load_config())
    try:
        metadata.start()
        yield metadata
    finally:
        metadata.close()
