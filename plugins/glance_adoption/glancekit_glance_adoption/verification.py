# SPDX-License-Identifier: Apache-2.0
"""Holding both services against each other, from typing to the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing

import click

from glancekit.plugin import GlancekitError
from glancekit_glance_adoption.comparing import COMPARED, Comparison
from glancekit_glance_adoption.endpoint import Endpoint
from glancekit_glance_adoption.progress import bars
from glancekit_glance_adoption.report import table


def verify(there: str, here: str, headers: Mapping[str, str], *, shape: str) -> None:
    """Compare two services, and list what differs.

    :raises GlancekitError: when something differs, or one of them does not answer.
    """
    with (
        closing(Endpoint("the other service", there, headers)) as other,
        closing(Endpoint("glancekit", here, headers)) as ours,
        bars("comparing", dict.fromkeys(COMPARED)) as tally,
    ):
        comparison = Comparison(other, ours, tally)
        found = [difference.row() for difference in comparison.run()]
    counts = dict(comparison.compared)
    if shape == "json":
        click.echo(json.dumps({"compared": counts, "differences": found}, indent=2))
    else:
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
        click.echo(f"Compared:  {said}")
        if found:
            columns = ("kind", "thing", "what", "there", "here")
            table(columns, [[row[column] for column in columns] for row in found])
    if found:
        raise GlancekitError(f"{len(found)} things are not the same on both sides")
    if shape != "json":
        click.echo("There is no difference.")


def headers_of(given: Sequence[str], token: str | None) -> dict[str, str]:
    """Return the headers that tell who asks.

    :raises GlancekitError: when one is no header.
    """
    headers = {"X-Auth-Token": token} if token else {}
    for line in given:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise GlancekitError(f"A header is written 'Name: value', not '{name}'")
        headers[name.strip()] = value.strip()
    return headers
