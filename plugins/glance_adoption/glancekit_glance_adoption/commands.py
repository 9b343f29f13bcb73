# SPDX-License-Identifier: Apache-2.0
"""``glancekit adopt``: what an operator types. Doing it is the business of the modules beside.

These are imported when there is something to do: what they stand on takes a second to import.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from glancekit.plugin import ReadSection, Workbench, hookimpl

api_level = 1

TOKEN = "OS_TOKEN"
"""Environment variable with the administrator's token: a command line shows to everybody."""


@hookimpl
def register_commands(read_section: ReadSection, workbench: Workbench) -> list[click.Command]:
    """Offer ``glancekit adopt``."""
    run = _Adopt(workbench)
    command = click.Command("adopt", callback=run, params=_parameters(), help=_HELP)
    return [command]


_HELP = """Take over the records of an existing Glance; its image data stay where they are.

Stop the other service first: what it changes afterwards is not seen here. Killed and typed again
it goes on where it was, and what is here already is never changed.

\b
  adopt --from glance-api.conf --into glancekit.conf --dry-run
  adopt --from glance-api.conf --into glancekit.conf
  adopt --export --from glance-api.conf --into glancekit.conf
  adopt --verify --there http://old:9292 --here http://new:9292
"""


def _parameters() -> list[click.Parameter]:
    path = click.Path(dir_okay=False, path_type=Path)
    return [
        click.Option(
            ["--dry-run", "mode"],
            flag_value="dry-run",
            help="Only tell what would come of it, and what would not carry over.",
        ),
        click.Option(
            ["--verify", "mode"],
            flag_value="verify",
            help="Compare both services over their APIs, which run at --there and --here.",
        ),
        click.Option(
            ["--export", "mode"],
            flag_value="export",
            help="The way back: write all records into the database of --from, which was just "
            "made with 'glance-manage db sync'.",
        ),
        click.Option(
            ["--from", "sources"],
            multiple=True,
            metavar="FILE",
            help="The other service's glance-api.conf; may be given several times, later ones "
            "count more.",
        ),
        click.Option(
            ["--into"],
            metavar="FILE",
            type=path,
            help="glancekit's own configuration. Where there is none it is written; one that is "
            "there counts as it is.",
        ),
        click.Option(
            ["--connection"],
            metavar="URL",
            help="The other service's database.  [default: its [database] connection]",
        ),
        click.Option(
            ["--database"],
            metavar="URL",
            help="glancekit's own database, for the configuration that is written.  [default: "
            "the embedded one]",
        ),
        click.Option(
            ["--data-dir"],
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="glancekit's own folder, for the configuration that is written.",
        ),
        click.Option(
            ["--finish-deletes"],
            is_flag=True,
            help="Hand over the data of images that wait for the scrubber, to be removed.",
        ),
        click.Option(["--there"], metavar="URL", help="Where the other service answers."),
        click.Option(["--here"], metavar="URL", help="Where glancekit answers."),
        click.Option(
            ["--token"],
            envvar=TOKEN,
            show_envvar=True,
            help="An administrator's token for both; with the role service it sees locations.",
        ),
        click.Option(
            ["--header", "headers"],
            multiple=True,
            metavar="'NAME: VALUE'",
            help="A header for both, where a proxy's are believed.",
        ),
        click.Option(
            ["-f", "--format", "shape"],
            type=click.Choice(["table", "json"]),
            default="table",
            show_default=True,
            help="How to write the report.",
        ),
    ]


class _Adopt:
    """The command, with what it may use of the program."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def __call__(self, mode: str | None, **options: Any) -> None:
        """Do what was typed."""
        if mode == "verify":
            self._verify(**options)
            return
        for name, option in (("sources", "--from"), ("into", "--into")):
            if not options[name]:
                raise click.UsageError(f"{option} is missing")
        from glancekit_glance_adoption import adoption

        acts = {None: adoption.take, "dry-run": adoption.survey, "export": adoption.give_back}
        asked = adoption.Asked(**{name: options[name] for name in adoption.Asked.__slots__})
        acts[mode](self._workbench, asked)

    def _verify(self, there: str | None, here: str | None, **options: Any) -> None:
        if not there or not here:
            raise click.UsageError("--verify needs --there and --here")
        from glancekit_glance_adoption import verification

        headers = verification.headers_of(options["headers"], options["token"])
        verification.verify(there, here, headers, shape=options["shape"])
