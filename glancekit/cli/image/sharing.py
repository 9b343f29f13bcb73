# SPDX-License-Identifier: Apache-2.0
"""``glancekit image member`` and ``tag``: what an image has several of, added and removed."""

from __future__ import annotations

from collections.abc import Callable

import click

from glancekit.cli.image import calls
from glancekit.cli.image.endpoint import Endpoint, Target, connect
from glancekit.cli.image.typed import image_argument
from glancekit.cli.tables import Shape, format_option, show

MEMBER_COLUMNS = ("image_id", "member_id", "status", "created_at", "updated_at")

projects_argument = click.argument("projects", metavar="PROJECT...", nargs=-1, required=True)
tags_argument = click.argument("tags", metavar="TAG...", nargs=-1, required=True)


def _do_for_each(
    target: Target,
    image: str,
    names: tuple[str, ...],
    do: Callable[[Endpoint, str, str], object],
) -> None:
    endpoint = connect(target)
    image_id = calls.find(endpoint, image)["id"]
    for name in names:
        do(endpoint, image_id, name)


@click.group()
def member() -> None:
    """With which projects an image is shared."""


@member.command("list")
@image_argument
@format_option
@click.pass_obj
def list_members(target: Target, image: str, shape: Shape) -> None:
    """List the projects that an image is shared with."""
    endpoint = connect(target)
    found = calls.members(endpoint, calls.find(endpoint, image)["id"])
    show(MEMBER_COLUMNS, found, shape)


@member.command("add")
@image_argument
@projects_argument
@click.pass_obj
def add_members(target: Target, image: str, projects: tuple[str, ...]) -> None:
    """Share an image with projects."""
    _do_for_each(target, image, projects, calls.add_member)


@member.command("remove")
@image_argument
@projects_argument
@click.pass_obj
def remove_members(target: Target, image: str, projects: tuple[str, ...]) -> None:
    """Share an image with projects no longer."""
    _do_for_each(target, image, projects, calls.remove_member)


@click.group()
def tag() -> None:
    """The tags of an image."""


@tag.command("add")
@image_argument
@tags_argument
@click.pass_obj
def add_tags(target: Target, image: str, tags: tuple[str, ...]) -> None:
    """Give an image tags."""
    _do_for_each(target, image, tags, calls.add_tag)


@tag.command("remove")
@image_argument
@tags_argument
@click.pass_obj
def remove_tags(target: Target, image: str, tags: tuple[str, ...]) -> None:
    """Take tags from an image."""
    _do_for_each(target, image, tags, calls.remove_tag)
