# SPDX-License-Identifier: Apache-2.0
"""``glancekit cache``: the image cache of one host of a running service, asked over its API.

What the cache does is the service's business.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click

from glancekit.cli.image import calls
from glancekit.cli.image.endpoint import Endpoint, Target, ask, connect, target_options
from glancekit.cli.image.typed import image_argument
from glancekit.cli.tables import Shape, format_option, show, show_one

COLUMNS = ("image_id", "state", "size", "hits", "last_accessed", "last_modified")

images_argument = click.argument("images", metavar="IMAGE...", nargs=-1, required=True)


@click.group()
@target_options
@click.pass_context
def cache(ctx: click.Context, target: Target) -> None:
    """Show the image cache of a host; fill it, empty it.

    Each host has a cache of its own: --url names the host, not a balancer in front of several.
    IMAGE is an id, or a name that only one image has.
    """
    ctx.obj = target


@cache.command("list")
@format_option
@click.pass_obj
def list_images(target: Target, shape: Shape) -> None:
    """List what is cached, and what is queued to be."""
    found = ask(connect(target), "GET", "/cache", "list the cache").json()
    rows = [_row(entry) for entry in found["cached_images"]]
    rows += [dict.fromkeys(COLUMNS) | _queued(image_id) for image_id in found["queued_images"]]
    show(COLUMNS, rows, shape)


@cache.command()
@images_argument
@click.pass_obj
def queue(target: Target, images: tuple[str, ...]) -> None:
    """Have images fetched into the cache; they are once they can be listed as cached."""
    endpoint = connect(target)
    for image in images:
        image_id = calls.find(endpoint, image)["id"]
        ask(endpoint, "PUT", _path(image_id), f"queue image {image_id}")


@cache.command()
@images_argument
@click.pass_obj
def delete(target: Target, images: tuple[str, ...]) -> None:
    """Take images out of the cache, or of the queue."""
    endpoint = connect(target)
    for image in images:
        image_id = _cached_or_found(endpoint, image)
        ask(endpoint, "DELETE", _path(image_id), f"take image {image_id} out of the cache")


@cache.command()
@click.option("--cache", "what", flag_value="cache", help="What is cached alone.")
@click.option("--queue", "what", flag_value="queue", help="What is queued alone.")
@click.pass_obj
def clear(target: Target, what: str | None) -> None:
    """Empty the cache and the queue, or one of the two."""
    headers = {"x-image-cache-clear-target": what} if what else {}
    ask(connect(target), "DELETE", "/cache", "clear the cache", headers=headers)


@cache.command()
@format_option
@click.pass_obj
def prune(target: Target, shape: Shape) -> None:
    """Make the cache as small as it should be; the policy says what goes."""
    answer = ask(connect(target), "POST", "/cache/prune", "prune the cache").json()
    show_one({"files": answer["total_files_pruned"], "bytes": answer["total_bytes_pruned"]}, shape)


@cache.command()
@click.pass_obj
def clean(target: Target) -> None:
    """Remove what was never finished, and what is not right any more."""
    ask(connect(target), "POST", "/cache/clean", "clean the cache")


@cache.command()
@format_option
@click.pass_obj
def stats(target: Target, shape: Shape) -> None:
    """Show how full the cache is, and what happened since it was made."""
    found = ask(connect(target), "GET", "/cache/stats", "show how the cache is").json()
    show_one({**found, **found.pop("counts")}, shape)


@cache.command()
@image_argument
@format_option
@click.pass_obj
def nodes(target: Target, image: str, shape: Shape) -> None:
    """List the hosts that have an image in their cache."""
    endpoint = connect(target)
    image_id = calls.find(endpoint, image)["id"]
    path = f"/cache/nodes/{quote(image_id, safe='')}"
    found = ask(endpoint, "GET", path, f"list the hosts with image {image_id}").json()
    show(("node",), [{"node": node} for node in found], shape)


def _path(image_id: str) -> str:
    return f"/cache/{quote(image_id, safe='')}"


def _cached_or_found(endpoint: Endpoint, image: str) -> str:
    """Return the id that is meant; a deleted image that is cached still has no record."""
    if calls.is_id(image):
        return image
    return str(calls.find(endpoint, image)["id"])


def _row(entry: dict[str, Any]) -> dict[str, Any]:
    times = ("last_accessed", "last_modified")
    return {**entry, "state": "cached", **{name: _time(entry[name]) for name in times}}


def _queued(image_id: str) -> dict[str, Any]:
    return {"image_id": image_id, "state": "queued"}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
