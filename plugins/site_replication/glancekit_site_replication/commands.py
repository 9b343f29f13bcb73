# SPDX-License-Identifier: Apache-2.0
"""``glancekit replicate``: what is typed. Doing it is the business of ``work``.

What that stands on is imported when there is something to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from glancekit.plugin import Invalid, ReadSection, hookimpl

if TYPE_CHECKING:
    from glancekit_site_replication.findings import Source
    from glancekit_site_replication.site import Site
    from glancekit_site_replication.work import Manner

api_level = 1

SOURCE_TOKEN = "GLANCEKIT_SOURCE_TOKEN"
TARGET_TOKEN = "GLANCEKIT_TARGET_TOKEN"
"""Environment variables: a command line shows to everybody on the host."""

MIB = 1 << 20

Command = Callable[..., Any]


@hookimpl
def register_commands(read_section: ReadSection) -> list[click.Command]:
    """Offer ``glancekit replicate``."""
    typed = Typed(read_section)
    group = click.Group("replicate", help=_HELP)
    folder = click.Path(file_okay=False, path_type=Path)
    for command, run, arguments, options in (
        ("compare", typed.compare, [_SOURCE, _TARGET], _COMPARING),
        ("sync", typed.sync, [_OPTIONAL_SOURCE, _OPTIONAL_TARGET], [*_LINK, *_SENDING, *_DELETE]),
        ("copy", typed.copy, [_SOURCE, _TARGET, _IMAGES], _SENDING),
        ("dump", typed.dump, [_SOURCE, click.Argument(["folder"], type=folder)], _DUMPING),
        ("load", typed.load, [click.Argument(["folder"], type=folder), _TARGET], _SENDING),
        ("size", typed.size, [_SITE], _MEASURING),
    ):
        made = click.Command(
            command, callback=_ending(run), params=[*arguments, *options], help=run.__doc__
        )
        group.add_command(made)
    return [group]


_HELP = f"""Bring images of one site to another, and only what differs.

A site is a URL of any Images v2 service, a site of the configuration ([site_NAME]), a cloud of
clouds.yaml, or env for what OS_* variables name. Tokens for URLs are in {SOURCE_TOKEN} and
{TARGET_TOKEN}. Cut off and typed again, it goes on where it was.

\b
Exit codes: 0 done, or equal; 1 not all could be done, or the sites differ; 2 typed wrongly;
3 refused by a site; 7 no answer; 8 bytes are not what their record says.
"""


def _ending(run: Command) -> Command:
    """Give a command the exit code that its error means."""

    @wraps(run)
    def ending(**options: Any) -> None:
        from glancekit_site_replication.failures import ReplicationError
        from glancekit_site_replication.running import exit_code_of

        try:
            run(**options)
        except ReplicationError as error:
            click.echo(f"glancekit: {error}", err=True)
            sys.exit(exit_code_of(error))

    return ending


_SOURCE = click.Argument(["source"])
_TARGET = click.Argument(["target"])
_SITE = click.Argument(["site"])
_OPTIONAL_SOURCE = click.Argument(["source"], required=False)
_OPTIONAL_TARGET = click.Argument(["target"], required=False)
_IMAGES = click.Argument(["images"], nargs=-1, required=True, metavar="IMAGE...")


def _option(flags: str, meaning: str, **more: Any) -> click.Option:
    return click.Option(flags.split(), help=meaning, **more)


_SHAPE = [
    _option(
        "-f --format shape",
        "How to write it.",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
    )
]
_CHOOSING = [
    _option("--filter filters", "What images have to be.", multiple=True, metavar="KEY=VALUE"),
    _option("--tag tags", "A tag that they have to have.", multiple=True),
    _option("--name name_like", "What their names have to be like.", metavar="GLOB"),
    _option(
        "--visibility",
        "A visibility that counts.",
        multiple=True,
        type=click.Choice(["public", "community", "shared", "private"]),
    ),
    _option("--owner owners", "A project whose images count.", multiple=True),
    _option("--newer-than", "Changed since a time, or in an age such as 7d.", metavar="TIME|AGE"),
]
_NAMES = [
    _option(
        "--source-name",
        "What images that come from the source are marked with: always the same for one site. "
        "Default: the name in the configuration, or the URL's host and port.",
    ),
    _option("--target-name", "The same of the target: its own images are not sent back to it."),
]
_SOURCE_HEADER = _option(
    "--source-header source_headers",
    "A header for a source that believes those of a proxy.",
    multiple=True,
    metavar="'NAME: VALUE'",
)
_TARGET_HEADER = _option(
    "--target-header target_headers",
    "The same for the target.",
    multiple=True,
    metavar="'NAME: VALUE'",
)
_OF_SOURCE = [_NAMES[0], _SOURCE_HEADER]
_OF_BOTH = [*_NAMES, _SOURCE_HEADER, _TARGET_HEADER]
_TRANSLATING = [
    _option("--members", "With whom images are shared, too.", is_flag=True),
    _option(
        "--map-project projects",
        "A project here and who stands for it there, as owner and member.",
        multiple=True,
        metavar="HERE=THERE",
    ),
    _option(
        "--keep-owner",
        "Give images to the project of the same id. Default: they belong to the caller.",
        is_flag=True,
    ),
    _option("--leave", "A property that does not travel.", multiple=True, metavar="GLOB"),
]
_TRUST = [
    _option("--cacert", "File of certificate authorities to trust.", envvar="OS_CACERT"),
    _option("--insecure", "Trust any certificate.", is_flag=True),
]
_MOVING = [
    _option("--dry-run", "Only tell what would be done, and why.", is_flag=True),
    _option("--metadata-only", "Bring no bytes.", is_flag=True),
    _option(
        "--parallel",
        "Images on their way at once.",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
    ),
    _option(
        "--limit",
        "MiB a second, in each direction. Default: as fast as it goes.",
        type=click.FloatRange(min=0.001),
    ),
    _option(
        "--part",
        "MiB asked for or sent at once; so much of an image may have to move again after a break.",
        type=click.FloatRange(min=0.001),
        default=4.0,
        show_default=True,
    ),
    _option("--progress/--no-progress", "Show how far it is. Default: on a terminal."),
]
_SENDING_ONLY = [
    _option(
        "--take-over",
        "Change images of the same id and data that somebody else brought there, too.",
        is_flag=True,
    ),
    _option(
        "--pull region",
        "Have the target fetch the bytes by itself (glance-download): the source's region, as "
        "the target knows it.",
        metavar="REGION",
    ),
    _option(
        "--spool",
        "Folder for images on their way. Default: ~/.cache/glancekit/replicate.",
        type=click.Path(file_okay=False, path_type=Path),
    ),
]
_DELETE = [
    _option("--delete", "Delete what was brought from the source and is gone there.", is_flag=True)
]
_LINK = [
    _option(
        "--link",
        "A link of the configuration ([replication_NAME]), which says all else but --dry-run.",
        metavar="NAME",
    )
]
_COMPARING = [*_CHOOSING, *_TRANSLATING, *_OF_BOTH, *_TRUST, *_SHAPE]
_SENDING = [*_CHOOSING, *_TRANSLATING, *_MOVING, *_SENDING_ONLY, *_OF_BOTH, *_TRUST, *_SHAPE]
_DUMPING = [
    *_CHOOSING,
    _option("--members", "With whom images are shared, too.", is_flag=True),
    *_MOVING,
    *_DELETE,
    *_OF_SOURCE,
    *_TRUST,
    *_SHAPE,
]
_MEASURING = [*_CHOOSING, *_OF_SOURCE, *_TRUST, *_SHAPE]


class Typed:
    """The commands, with what they may read of the configuration."""

    def __init__(self, read_section: ReadSection) -> None:
        self._read_section = read_section

    def compare(self, source: str, target: str, shape: str, **options: Any) -> None:
        """Say how images of SOURCE and TARGET differ."""
        from glancekit_site_replication import work, writing

        report = work.compare(
            self._source(source, options), self._target(target, options), self._manner(options)
        )
        writing.write(report, shape)
        sys.exit(report.exit_code(comparing=True))

    def sync(
        self,
        source: str | None,
        target: str | None,
        link: str | None,
        shape: str,
        progress: bool | None,
        **options: Any,
    ) -> None:
        """Bring all images of SOURCE that differ to TARGET, or what a link of the configuration
        says."""
        from glancekit_site_replication import work

        if link is not None:
            here, there, manner = self._link(link, dry_run=options["dry_run"])
        elif source and target:
            here, there = self._source(source, options), self._target(target, options)
            manner = self._manner(options)
        else:
            raise click.UsageError("SOURCE and TARGET, or --link NAME")
        self._end(work.sync(here, there, manner, _shown(progress)), shape)

    def copy(
        self,
        source: str,
        target: str,
        images: tuple[str, ...],
        shape: str,
        progress: bool | None,
        **options: Any,
    ) -> None:
        """Bring certain images, by id or name, from SOURCE to TARGET."""
        from glancekit_site_replication import work

        report = work.copy(
            self._source(source, options),
            self._target(target, options),
            images,
            self._manner(options),
            _shown(progress),
        )
        self._end(report, shape)

    def dump(
        self, source: str, folder: Path, shape: str, progress: bool | None, **options: Any
    ) -> None:
        """Write images of SOURCE into FOLDER: a record and a file with the data of each."""
        from glancekit_site_replication import work

        site = self._source(source, options)
        self._end(work.dump(site, folder, self._manner(options), _shown(progress)), shape)

    def load(
        self, folder: Path, target: str, shape: str, progress: bool | None, **options: Any
    ) -> None:
        """Bring images of FOLDER, which were dumped, to TARGET."""
        from glancekit_site_replication import work
        from glancekit_site_replication.folder import Folder

        if options["region"]:
            raise click.UsageError("--pull needs a site to pull from")
        here = Folder(folder, name=options["source_name"])
        there = self._target(target, options)
        self._end(work.sync(here, there, self._manner(options), _shown(progress)), shape)

    def size(self, site: str, shape: str, **options: Any) -> None:
        """Add up the images of SITE and their bytes."""
        from glancekit_site_replication import work, writing

        found = self._source(site, options)
        writing.write_size(work.size(found, self._manner(options).selection), shape)

    # -- what was typed, as what it means

    def _source(self, word: str, options: dict[str, Any]) -> Site:
        return self._site(word, options, "source", os.environ.get(SOURCE_TOKEN))

    def _target(self, word: str, options: dict[str, Any]) -> Site:
        return self._site(word, options, "target", os.environ.get(TARGET_TOKEN))

    def _site(self, word: str, options: dict[str, Any], side: str, token: str | None) -> Site:
        from glancekit_site_replication.options import address_of
        from glancekit_site_replication.site import Site

        address = address_of(word, self._read_section)
        return Site(
            replace(
                address,
                name=options.get(f"{side}_name") or address.name,
                token=token or address.token,
                headers={**address.headers, **_headers(options[f"{side}_headers"])},
                cacert=options["cacert"] or address.cacert,
                insecure=options["insecure"] or address.insecure,
            )
        )

    def _link(self, name: str, *, dry_run: bool) -> tuple[Source, Site, Manner]:
        from glancekit_site_replication.options import link_of
        from glancekit_site_replication.site import Site

        link = link_of(name, self._read_section)
        manner = replace(link.manner, dry_run=dry_run)
        return Site(link.source), Site(link.target), manner

    def _manner(self, options: dict[str, Any]) -> Manner:
        from types import SimpleNamespace

        from glancekit_site_replication.options import manner_of
        from glancekit_site_replication.selection import pairs

        missing = {
            "projects": (),
            "keep_owner": False,
            "leave": (),
            "members": False,
            "take_over": False,
            "delete": False,
            "parallel": 4,
            "limit": None,
            "region": None,
        }
        given = SimpleNamespace(**missing | options)
        try:
            given.projects = pairs(given.projects)
            manner = manner_of(given, options.get("spool") or _cache())
        except Invalid as error:
            raise click.UsageError(str(error)) from error
        return replace(
            manner,
            part=int(options.get("part", 4.0) * MIB),
            dry_run=options.get("dry_run", False),
            metadata_only=options.get("metadata_only", False),
        )

    def _end(self, report: Any, shape: str) -> None:
        from glancekit_site_replication import writing

        writing.write(report, shape)
        sys.exit(report.exit_code(comparing=False))


def _headers(texts: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not name or not colon:
            raise click.UsageError("a header is of the form 'NAME: VALUE'")
        found[name.strip()] = value.strip()
    return found


def _cache() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(folder) / "glancekit" / "replicate"


def _shown(progress: bool | None) -> Any:
    from glancekit_site_replication.progress import seen, unseen

    return seen if (sys.stderr.isatty() if progress is None else progress) else unseen
