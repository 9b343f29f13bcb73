# SPDX-License-Identifier: Apache-2.0
"""Arguments and options that several commands take, and what they mean as values of the API."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

import click

from glancekit.cli.image.calls import Record

VISIBILITIES = ("public", "community", "shared", "private")

_STANDARD = {
    "--disk-format": ("disk_format", str, "raw, qcow2, vmdk, vhd, vhdx, vdi, iso, ami, ..."),
    "--container-format": ("container_format", str, "bare, ovf, ova, docker, compressed, ..."),
    "--visibility": ("visibility", click.Choice(VISIBILITIES), "Who may see it."),
    "--min-disk": ("min_disk", click.IntRange(0), "GiB of disk that it needs."),
    "--min-ram": ("min_ram", click.IntRange(0), "MiB of memory that it needs."),
    "--owner": ("owner", str, "The project that it belongs to (administrators)."),
    "--protected/--unprotected": ("protected", bool, "Whether it can be deleted."),
    "--hidden/--shown": ("os_hidden", bool, "Whether lists leave it out."),
}

Command = Callable[..., Any]


def described_by_options(command: Command) -> Command:
    """Let a command take what describes an image: standard fields and properties."""
    for flag, (name, kind, meaning) in reversed(_STANDARD.items()):
        command = click.option(flag, name, type=kind, default=None, help=meaning)(command)
    return click.option(
        "--property",
        "properties",
        multiple=True,
        metavar="KEY=VALUE",
        help="A property; may be given several times.",
    )(command)


progress_option = click.option(
    "--progress/--no-progress",
    default=None,
    help="Show bytes, rate and time left. Default: on a terminal.",
)
image_argument = click.argument("image", metavar="IMAGE")


def given(fields: Mapping[str, Any]) -> Record:
    return {name: value for name, value in fields.items() if value is not None}


def properties_of(pairs: Iterable[str]) -> Record:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.UsageError(f"--property {pair!r} is not of the form KEY=VALUE.")
        found[key] = value
    return found


def pointer(name: str) -> str:
    """Return the JSON pointer (RFC 6901) of a field."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def opened(path: str) -> BinaryIO:
    if path == "-":
        return sys.stdin.buffer
    try:
        return open(path, "rb")
    except OSError as error:
        raise click.UsageError(f"Cannot read {path!r}: {error.strerror}.") from error


def size_of(source: BinaryIO) -> int | None:
    """Return the bytes of a file, None of a pipe."""
    if not source.seekable():
        return None
    end = source.seek(0, 2)
    source.seek(0)
    return end


def format_of(path: str) -> str:
    """Return what a file's content is; what nothing says anything else of is raw."""
    if path == "-":
        raise click.UsageError(
            "The format of what comes through a pipe is not known beforehand; give --disk-format."
        )
    from oslo_utils.imageutils import format_inspector

    found = str(format_inspector.detect_file_format(path))
    return {"gpt": "raw", "luks": "raw"}.get(found, found)
