# SPDX-License-Identifier: Apache-2.0
"""``glancekit quota``: what projects use and may use. Setting limits is the configuration's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.quota import ProjectUsage, Quota

if TYPE_CHECKING:
    from glancekit.core.contracts.limits import LimitSource
    from glancekit.core.contracts.metadata import MetadataDriver
    from glancekit.services.world import Settings

_USED = ("project", "quota", "usage", "limit")
_COUNTED = ("project", "kept", "true", "mended")

_project_option = click.option(
    "--project", metavar="ID", help="This project alone. Default: all that have images."
)


@click.group()
def quota() -> None:
    """Show what projects use and may use; count it anew."""


@quota.command("show")
@_project_option
@format_option
@click.pass_obj
def show_usage(invocation: Invocation, project: str | None, shape: Shape) -> None:
    """Show usage and limits. Sizes are in MiB; what is only begun of one does not count."""
    from glancekit.services.quotas import allowance
    from glancekit.services.usage import NO_LIMIT, against

    rows = []
    with _records(invocation) as records:
        with records.metadata.unit_of_work(read_only=True) as work:
            projects = [project] if project else work.quotas.projects()
            usages = {one: work.quotas.usage(one) for one in projects}
        for one, usage in usages.items():
            for name, used in against(usage, allowance(records, one)).items():
                limit = None if used.limit == NO_LIMIT else used.limit
                rows.append(
                    {"project": one, "quota": name.value, "usage": used.usage, "limit": limit}
                )
    show(_USED, rows, shape)


@quota.command()
@_project_option
@format_option
@click.pass_obj
def recount(invocation: Invocation, project: str | None, shape: Shape) -> None:
    """Hold what is kept as usage against the images there are, and mend what is wrong.

    The service may go on meanwhile. Only changes that were made to the database by other means
    than the service's own can have made usage wrong.
    """
    from glancekit.services import usage

    with _records(invocation) as records:
        rows = [
            {
                "project": counted.project_id,
                "kept": _words(counted.kept),
                "true": _words(counted.true),
                "mended": not counted.is_right,
            }
            for counted in usage.recount(records.metadata, project)
        ]
    show(_COUNTED, rows, shape)


def _words(usage: ProjectUsage) -> str:
    """Return a usage to the last byte."""
    return ", ".join(f"{name.value}={usage.of(name)}" for name in Quota)


@dataclass(frozen=True, slots=True)
class _Records:
    """As much of the service as these commands need."""

    metadata: MetadataDriver
    limits: LimitSource | None
    settings: Settings


@contextmanager
def _records(invocation: Invocation) -> Iterator[_Records]:
    from glancekit.bootstrap.parts import load_limits, load_metadata
    from glancekit.bootstrap.settings import settings_of

    config = invocation.load_config()
    with ExitStack() as opened:
        metadata = load_metadata(config)
        opened.callback(metadata.close)
        metadata.start()
        limits = load_limits(config)
        if limits is not None:
            opened.callback(limits.close)
        yield _Records(metadata, limits, settings_of(config))
