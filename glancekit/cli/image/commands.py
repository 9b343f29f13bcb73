# SPDX-License-Identifier: Apache-2.0
"""What is typed: each command asks, moves bytes where there are any, and writes what came of it.

How an answer is got is the business of calls.py and transfers.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from glancekit.cli.image import calls, parts, transfers
from glancekit.cli.image.calls import Record
from glancekit.cli.image.endpoint import Endpoint, Target, connect, target_options
from glancekit.cli.image.failures import Failed, NotFound
from glancekit.cli.image.sharing import member, tag
from glancekit.cli.image.typed import (
    VISIBILITIES,
    described_by_options,
    format_of,
    given,
    image_argument,
    opened,
    pointer,
    progress_option,
    properties_of,
    size_of,
)
from glancekit.cli.tables import Shape, format_option, show, show_one

COLUMNS = ("id", "name", "status")
LONG_COLUMNS = (
    *COLUMNS,
    "disk_format",
    "container_format",
    "size",
    "visibility",
    "protected",
    "owner",
    "tags",
)

_DIRECT = {"method": {"name": "glance-direct"}}

POLL = 0.5
"""Seconds between two looks at an import."""


@click.group()
@target_options
@click.pass_context
def image(ctx: click.Context, target: Target) -> None:
    """Create, list, show, save and change images of a running service.

    The service is that of --url, else of --os-cloud or of OS_* variables (openstacksdk), else the
    one on this machine. IMAGE is an id, or a name that only one image has. Exit codes beside
    those of all commands: 3 refused, 4 not found, 5 in conflict, 6 over a limit, 7 no answer,
    8 damaged data.
    """
    ctx.obj = target


@image.command()
@click.argument("name", required=False)
@described_by_options
@click.option("--id", "id_", metavar="UUID", help="Its id. Default: the service chooses one.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given several times.")
@click.option("--file", "path", metavar="FILE", help="Its data; - is the standard input.")
@click.option("--store", metavar="ID", help="The store for its data. Default: the service's.")
@progress_option
@format_option
@click.pass_obj
def create(
    target: Target,
    /,
    name: str | None,
    id_: str | None,
    tags: tuple[str, ...],
    path: str | None,
    store: str | None,
    progress: bool | None,
    properties: tuple[str, ...],
    shape: Shape,
    **fields: Any,
) -> None:
    """Create an image NAME, with data where --file is given.

    The disk format is found out from the file where it is not given, the container format is bare.
    When the data cannot be sent, the image is deleted again.
    """
    endpoint = connect(target)
    described = given(fields) | properties_of(properties)
    described |= {"name": name} if name else {}
    described |= {"id": id_} if id_ else {}
    described |= {"tags": list(tags)} if tags else {}
    if path is None:
        show_one(calls.create(endpoint, described), shape)
        return
    with opened(path) as source:
        described.setdefault("container_format", "bare")
        if "disk_format" not in described:
            described["disk_format"] = format_of(path)
        made = calls.create(endpoint, described)
        try:
            _send(endpoint, made["id"], source, store, stage=False, progress=progress)
        except BaseException:
            _take_back(endpoint, made["id"])
            raise
    show_one(calls.show(endpoint, made["id"]), shape)


@image.command()
@image_argument
@click.argument("path", metavar="FILE")
@click.option("--store", metavar="ID", help="The store for its data. Default: the service's.")
@progress_option
@click.pass_obj
def upload(
    target: Target, image: str, path: str, store: str | None, progress: bool | None
) -> None:
    """Give an image that has no data yet the data of FILE (-: the standard input)."""
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    with opened(path) as source:
        _send(endpoint, found["id"], source, store, stage=False, progress=progress)


@image.command()
@image_argument
@click.argument("path", metavar="FILE")
@progress_option
@click.pass_obj
def stage(target: Target, image: str, path: str, progress: bool | None) -> None:
    """Send FILE to the staging area, for an import with the method glance-direct.

    When it breaks off, the same command goes on where it was, if the service can do that.
    """
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    with opened(path) as source:
        _send(endpoint, found["id"], source, None, stage=True, progress=progress)


@image.command("list")
@click.option("--name", help="Only images of this name.")
@click.option("--status", help="Only images in this state.")
@click.option("--visibility", type=click.Choice([*VISIBILITIES, "all"]), help="Only such images.")
@click.option("--owner", help="Only images of this project.")
@click.option("--tag", "tags", multiple=True, help="Only images with this tag, and this one, ...")
@click.option("--property", "properties", multiple=True, metavar="KEY=VALUE", help="Only such.")
@click.option(
    "--member-status",
    type=click.Choice(["pending", "accepted", "rejected", "all"]),
    help="Images shared with this project that it has so decided on.",
)
@click.option("--hidden", is_flag=True, help="Only images that lists leave out.")
@click.option("--sort", metavar="KEY[:asc|desc],...", help="The order. Default: the newest first.")
@click.option("--limit", type=click.IntRange(1), help="At most so many. Default: all.")
@click.option("--marker", metavar="ID", help="Only what comes after this image.")
@click.option("--long", "is_long", is_flag=True, help="Show more of each.")
@format_option
@click.pass_obj
def list_(
    target: Target,
    /,
    limit: int | None,
    is_long: bool,
    hidden: bool,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    shape: Shape,
    **filters: str | None,
) -> None:
    """List the images that one may see."""
    query: dict[str, Any] = {key: value for key, value in filters.items() if value is not None}
    if "name" in query:
        query["name"] = calls.exactly(query["name"])
    query |= properties_of(properties)
    query |= {"os_hidden": "true"} if hidden else {}
    query |= {"tag": list(tags)} if tags else {}
    found = list(calls.images(connect(target), query, most=limit))
    columns = LONG_COLUMNS if is_long else COLUMNS
    wanted = tuple(dict.fromkeys((*columns, *shape.columns)))
    known = {key for record in found for key in record}
    wanted = tuple(column for column in wanted if column in columns or column in known)
    show(wanted, [{column: record.get(column) for column in wanted} for record in found], shape)


@image.command("show")
@image_argument
@format_option
@click.pass_obj
def show_(target: Target, image: str, shape: Shape) -> None:
    """Show all that is known of an image."""
    show_one(calls.find(connect(target), image), shape)


@image.command()
@image_argument
@click.option("--file", "path", metavar="FILE", help="Where to; - is the standard output.")
@progress_option
@click.pass_obj
def save(target: Target, image: str, path: str | None, progress: bool | None) -> None:
    """Download an image's data and verify it.

    A file appears under its name when it is whole and is what its digest says. When the connection
    breaks the download goes on by itself; when it cannot, the same command goes on later.
    """
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    shown = transfers.wants_progress(progress)
    if path is None and sys.stdout.isatty():
        raise click.UsageError("Say where to with --file; data is no good on a terminal.")
    if path in (None, "-"):
        transfers.save_to(endpoint, found, sys.stdout.buffer, progress=shown)
    else:
        transfers.save(endpoint, found, Path(str(path)), progress=shown)


@image.command("set")
@image_argument
@click.option("--name", help="Its new name.")
@described_by_options
@click.option("--tag", "tags", multiple=True, help="A tag to add; may be given several times.")
@click.option("--accept", "membership", flag_value="accepted", help="Take what was shared.")
@click.option("--reject", "membership", flag_value="rejected", help="Refuse what was shared.")
@click.option("--project", help="For --accept and --reject: the project that decides.")
@click.option("--deactivate", "action", flag_value="deactivate", help="Let nobody download it.")
@click.option("--activate", "action", flag_value="reactivate", help="Let it be downloaded again.")
@click.pass_obj
def set_(
    target: Target,
    /,
    image: str,
    tags: tuple[str, ...],
    membership: str | None,
    project: str | None,
    action: str | None,
    properties: tuple[str, ...],
    **fields: Any,
) -> None:
    """Change an image. What is not named stays as it is."""
    if membership and not project:
        raise click.UsageError("--accept and --reject need --project, whose decision it is.")
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    wanted = given(fields) | properties_of(properties)
    operations: list[Mapping[str, Any]] = [
        {
            "op": "replace" if name in found else "add",
            "path": pointer(name),
            "value": value,
        }
        for name, value in wanted.items()
    ]
    more = sorted(set(tags) - set(found["tags"]))
    if more:
        both = [*found["tags"], *more]
        operations.append({"op": "replace", "path": "/tags", "value": both})
    if operations:
        calls.change(endpoint, found["id"], operations)
    if membership and project:
        calls.set_member(endpoint, found["id"], project, membership)
    if action:
        calls.act(endpoint, found["id"], action)


@image.command()
@image_argument
@click.option("--property", "properties", multiple=True, metavar="KEY", help="One to remove.")
@click.option("--tag", "tags", multiple=True, help="A tag to remove; may be given several times.")
@click.pass_obj
def unset(target: Target, image: str, properties: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Take properties and tags from an image."""
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    missing = [f"property {name!r}" for name in properties if name not in found]
    missing += [f"tag {tag!r}" for tag in tags if tag not in found["tags"]]
    if missing:
        raise NotFound(f"Image {found['id']} has no {' and no '.join(missing)}.")
    operations: list[Mapping[str, Any]] = [
        {"op": "remove", "path": pointer(name)} for name in properties
    ]
    if tags:
        left = [tag for tag in found["tags"] if tag not in tags]
        operations.append({"op": "replace", "path": "/tags", "value": left})
    if operations:
        calls.change(endpoint, found["id"], operations)


@image.command()
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
@click.option("--store", metavar="ID", help="Only the copy in this store; others stay.")
@click.pass_obj
def delete(target: Target, images: tuple[str, ...], store: str | None) -> None:
    """Delete images. The others are deleted also when one cannot be."""
    endpoint = connect(target)
    failures: list[Failed] = []
    for name in images:
        try:
            found = calls.find(endpoint, name)
            if store is None:
                calls.delete(endpoint, found["id"])
            else:
                calls.delete_copy(endpoint, found["id"], store)
        except Failed as failure:
            failures.append(failure)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        text = "\n".join(failure.message for failure in failures)
        raise Failed(f"{len(failures)} of {len(images)} were not deleted:\n{text}")


@image.command()
@target_options
@click.argument("images", metavar="ID", nargs=-1, required=True)
def restore(target: Target, images: tuple[str, ...]) -> None:
    """Have deleted images back, by id, while their data is kept.

    'glancekit image list --status pending_delete' shows which; only glancekit can do it.
    """
    endpoint = connect(target)
    for image_id in images:
        calls.act(endpoint, image_id, "restore")


@image.command("import")
@image_argument
@click.option(
    "--method",
    default="glance-direct",
    show_default=True,
    help="How its data gets in; see GET /v2/info/import for those that the service has.",
)
@click.option("--uri", help="For web-download: where the data is.")
@click.option("--remote-region", help="For glance-download: the region to copy from.")
@click.option("--remote-image", metavar="ID", help="For glance-download: the image there.")
@click.option("--remote-service-interface", help="For glance-download: public, internal, admin.")
@click.option("--stores", metavar="ID,...", help="The stores for its data.")
@click.option("--all-stores", is_flag=True, help="Put its data into every store.")
@click.option(
    "--allow-failure/--disallow-failure",
    default=None,
    help="Whether it is enough that one of the stores has it. Default: the service's.",
)
@click.option("--file", "path", metavar="FILE", help="Stage this first, for glance-direct.")
@click.option("--wait/--no-wait", default=False, help="Return when it has ended. Default: no.")
@progress_option
@click.pass_obj
def import_(
    target: Target,
    /,
    image: str,
    method: str,
    path: str | None,
    wait: bool,
    progress: bool | None,
    stores: str | None,
    all_stores: bool,
    allow_failure: bool | None,
    **arguments: str | None,
) -> None:
    """Let the service fetch, convert and check an image's data by itself."""
    endpoint = connect(target)
    found = calls.find(endpoint, image)
    if path is not None:
        with opened(path) as source:
            _send(endpoint, found["id"], source, None, stage=True, progress=progress)
    body: dict[str, Any] = {"method": {"name": method, **_method_arguments(arguments)}}
    if stores:
        body["stores"] = stores.split(",")
    if all_stores:
        body["all_stores"] = True
    if allow_failure is not None:
        body["all_stores_must_succeed"] = not allow_failure
    if wait:
        _import(endpoint, found["id"], body, shown=transfers.wants_progress(progress))
    else:
        calls.begin_import(endpoint, found["id"], body, {})


image.add_command(member)
image.add_command(tag)


# -- what several commands need


def _send(
    endpoint: Endpoint,
    image_id: str,
    source: BinaryIO,
    store: str | None,
    *,
    stage: bool,
    progress: bool | None,
) -> None:
    size, shown = size_of(source), transfers.wants_progress(progress)
    offer = parts.offer_of(endpoint) if size and (stage or size > parts.PART) else None
    if size and offer and offer.parts and (stage or offer.as_is):
        with transfers.progress_bar("stage", size, shown=shown) as told:
            parts.stage(endpoint, image_id, source, size, told)
        if not stage:
            body: Record = {**_DIRECT} | ({"stores": [store]} if store else {})
            _import(endpoint, image_id, body, shown=shown)
        return
    transfers.upload(
        endpoint, image_id, source, size=size, store=store, stage=stage, progress=shown
    )


def _import(endpoint: Endpoint, image_id: str, body: Record, *, shown: bool) -> None:
    """Begin an import and wait for its end."""
    before = {task["id"] for task in calls.tasks(endpoint, image_id)}
    calls.begin_import(endpoint, image_id, body, {})
    _follow(endpoint, image_id, before, shown=shown)


def _take_back(endpoint: Endpoint, image_id: str) -> None:
    """Delete an image whose data could not be sent; where that fails, too, say what is left."""
    try:
        calls.delete(endpoint, image_id)
    except Failed as failure:
        click.echo(f"Image {image_id} is left without data: {failure.message}", err=True)


def _method_arguments(arguments: Mapping[str, str | None]) -> Record:
    names = {
        "uri": "uri",
        "remote_region": "glance_region",
        "remote_image": "glance_image_id",
        "remote_service_interface": "glance_service_interface",
    }
    return {names[name]: value for name, value in arguments.items() if value is not None}


def _follow(endpoint: Endpoint, image_id: str, before: set[str], *, shown: bool) -> None:
    """Wait until an import that was just begun has ended.

    :raises Failed: when it did not work; the message is the task's.
    """
    with transfers.progress_bar("import", None, shown=shown) as told:
        done = 0
        while True:
            tasks = [task for task in calls.tasks(endpoint, image_id) if task["id"] not in before]
            task = tasks[0] if tasks else {"status": "pending"}
            if task["status"] == "success":
                return
            if task["status"] == "failure":
                raise Failed(f"The import of image {image_id} failed: {task.get('message')}")
            now = int(task.get("bytes") or done)
            told(max(0, now - done))
            done = max(done, now)
            time.sleep(POLL)
