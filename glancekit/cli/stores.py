# SPDX-License-Identifier: Apache-2.0
"""``glancekit stores``: what is configured, what it can do, and how a running service finds it.

Mounting them is the service's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.contracts.store import CAPABILITIES

if TYPE_CHECKING:
    from glancekit.core.config import Configuration, StoreEntry
    from glancekit.core.drivers import Loaded

_COLUMNS = (
    *("id", "driver", "state", "default", "read_only", "drain", "weight", "direct_transfer"),
    *("capabilities", "description", "reason"),
)
_FOUND = ("answers", "breaker", "detail")
_LEFT = ("image", "status", "elsewhere")

PATIENCE = 90.0
"""Seconds that the service has: longer than its stores have to tell it."""


@click.command()
@click.option(
    "--url",
    metavar="URL",
    help="Address of a running service that is asked how it finds the stores, for example "
    "http://127.0.0.1:9292; of its processes, the one answers that the request comes to.",
)
@click.option(
    "--left",
    metavar="STORE",
    help="List what is in this store instead, and which other stores have a good copy of it. The "
    "exit code is 1 while there is anything: the store cannot go yet.",
)
@format_option
@click.pass_obj
def stores(invocation: Invocation, url: str | None, left: str | None, shape: Shape) -> None:
    """Show every configured store and what it can do; with --url, whether it answers."""
    from glancekit.bootstrap.parts import load_parts

    config = invocation.load_config()
    if left is not None:
        _show_left(config, left, shape)
        return
    parts = load_parts(config)
    rows = [_row(config, entry, loaded) for entry, loaded in parts.stores.items()]
    if url is None:
        show(_COLUMNS, rows, shape)
        return
    found = parts_of(url)
    show((*_COLUMNS, *_FOUND), [{**row, **_found(found, row["id"])} for row in rows], shape)


def _row(config: Configuration, entry: StoreEntry, loaded: Loaded) -> dict[str, Any]:
    able = loaded.report.capabilities
    options = config.section(entry.id)
    return {
        "id": entry.id,
        "driver": entry.driver,
        "state": loaded.report.state,
        "default": entry.id == config.default_store,
        "read_only": getattr(options, "read_only", None),
        "drain": getattr(options, "drain", None),
        "weight": getattr(options, "weight", None),
        "direct_transfer": getattr(options, "direct_transfer", None),
        "capabilities": [kind.__name__ for kind in CAPABILITIES if kind.__name__ in able],
        "description": getattr(options, "store_description", ""),
        "reason": loaded.report.reason,
    }


def _show_left(config: Configuration, store: str, shape: Shape) -> None:
    from glancekit.bootstrap.parts import load_metadata
    from glancekit.core.errors import StoreNotFound
    from glancekit.services.stores import left_in

    ids = [entry.id for entry in config.stores]
    if store not in ids:
        raise StoreNotFound(store=store, known=", ".join(ids))
    metadata = load_metadata(config)
    try:
        metadata.start()
        rows = [
            {"image": one.image_id, "status": one.status, "elsewhere": list(one.elsewhere)}
            for one in left_in(metadata, store)
        ]
    finally:
        metadata.close()
    show(_LEFT, rows, shape)
    if rows:
        raise click.exceptions.Exit(1)


def parts_of(url: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the parts of a service by their names, each as its health report has it."""
    import requests

    from glancekit.cli.image.failures import Unreachable

    try:
        answer = requests.get(
            f"{url.rstrip('/')}/healthcheck",
            headers={"Accept": "application/json"},
            timeout=PATIENCE,
        )
        return {part["name"]: part for part in answer.json()["parts"]}
    except (requests.ConnectionError, requests.Timeout) as error:
        raise Unreachable(f"No answer from {url}. Is the service running there?") from error
    except (requests.RequestException, LookupError, TypeError, ValueError) as error:
        raise click.ClickException(f"{url} does not tell how it is: {error}") from error


def _found(parts: Mapping[str, Mapping[str, Any]], store: str) -> dict[str, Any]:
    part = parts.get(f"store:{store}")
    if part is None:
        detail = "the service has no such store"
        return {"answers": None, "breaker": None, "detail": detail}
    return {
        "answers": part["ok"],
        "breaker": part.get("breaker"),
        "detail": part.get("detail", ""),
    }
