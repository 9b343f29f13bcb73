# SPDX-License-Identifier: Apache-2.0
"""``glancekit token``: making, listing and revoking tokens. Checking them is the driver's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from glancekit.plugin import GlancekitError, Invalid, ReadSection, hookimpl
from glancekit_token_auth.driver import OPTIONS
from glancekit_token_auth.token_file import TokenFile
from glancekit_token_auth.tokens import Record, make_token, with_implied

api_level = 1

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d{1,6})([mhdw])")

_shape = click.option(
    "-f",
    "--format",
    "shape",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write it.",
)


@hookimpl
def register_commands(read_section: ReadSection) -> list[click.Command]:
    """Offer ``glancekit token``, on the file that the configuration names."""

    @click.group()
    @click.option(
        "--path",
        metavar="FILE",
        help="The file that keeps the tokens. Default: [auth] path, which is tokens.json in the "
        "data directory.",
    )
    @click.pass_context
    def token(ctx: click.Context, path: str | None) -> None:
        """Make and revoke tokens for callers (auth driver 'token')."""
        ctx.obj = _LateFile(read_section, path)

    for command in (create, show_all, revoke):
        token.add_command(command)
    return [token]


class _LateFile:
    """The file, once a command needs it: help shall not read the configuration."""

    def __init__(self, read_section: ReadSection, path: str | None) -> None:
        self._read_section = read_section
        self._path = path

    def open(self) -> TokenFile:
        """Return the file that was named, else the configuration's."""
        if self._path:
            return TokenFile(self._path)
        options = self._read_section("auth", OPTIONS)
        if options.driver != "token":
            click.echo(
                f"Note: the service does not ask for tokens as long as [auth] driver is "
                f"'{options.driver}'; set it to 'token'.",
                err=True,
            )
        return TokenFile(options.path)


@click.command()
@click.option("--user", required=True, help="Who the token is for.")
@click.option("--project", required=True, help="The project that owns what they create.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    default=["member"],
    show_default=True,
    help="What they are there; may be given several times. admin implies manager, manager member, "
    "and member reader.",
)
@click.option(
    "--expires", metavar="SPAN", help="How long it lasts: 90d, 12h, 30m, 2w.  [for ever]"
)
@click.option("--description", default="", help="What it is for.")
@_shape
@click.pass_obj
def create(
    late: _LateFile,
    user: str,
    project: str,
    roles: tuple[str, ...],
    expires: str | None,
    description: str,
    shape: str,
) -> None:
    """Make a token and show it, this once: only its hash is kept."""
    now = time.time()
    token, token_id, digest = make_token()
    record = Record(
        id=token_id,
        digest=digest,
        user=_name(user, "user"),
        project=_name(project, "project"),
        roles=with_implied(tuple(_name(role, "role") for role in roles)),
        created=now,
        expires=None if expires is None else now + _seconds(expires),
        description=description,
    )
    with late.open().change() as records:
        records[token_id] = record
    if shape == "json":
        click.echo(json.dumps({"token": token, **_shown(record, now)}, indent=2))
        return
    click.echo(token)
    click.echo(f"Keep it: it is not shown again. Its id is {token_id}.", err=True)


@click.command("list")
@_shape
@click.pass_obj
def show_all(late: _LateFile, shape: str) -> None:
    """Show what tokens there are."""
    now = time.time()
    rows = [_shown(record, now) for record in late.open().records().values()]
    if shape == "json":
        click.echo(json.dumps(rows, indent=2))
    elif rows:
        _write_table(rows)
    else:
        click.echo("There are no tokens; make one with 'glancekit token create'.", err=True)


@click.command()
@click.argument("token_ids", metavar="ID...", nargs=-1, required=True)
@click.pass_obj
def revoke(late: _LateFile, token_ids: tuple[str, ...]) -> None:
    """Take tokens back; they stop working at once. ID is what 'list' shows."""
    with late.open().change() as records:
        for token_id in token_ids:
            if records.pop(token_id, None) is None:
                raise GlancekitError(
                    f"There is no token with id {token_id!r}, so none was revoked; "
                    "'glancekit token list' shows them"
                )


def _name(text: str, what: str) -> str:
    """Return a name as it will stand in records and logs."""
    if not text.strip() or not text.isprintable() or len(text) > 255:
        raise Invalid(f"A {what} needs a name of 1 to 255 printable characters")
    return text.strip()


def _seconds(span: str) -> int:
    found = _SPAN.fullmatch(span)
    if not found or int(found[1]) == 0:
        raise Invalid(f"'{span}' is no span of time; write for example 90d, 12h, 30m or 2w")
    return int(found[1]) * _UNITS[found[2]]


def _shown(record: Record, now: float) -> dict[str, Any]:
    return {
        "id": record.id,
        "user": record.user,
        "project": record.project,
        "roles": list(record.roles),
        "created": _moment(record.created),
        "expires": None if record.expires is None else _moment(record.expires),
        "expired": record.is_expired(now),
        "description": record.description,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _write_table(rows: Sequence[dict[str, Any]]) -> None:
    columns = ("id", "user", "project", "roles", "created", "expires", "description")
    cells = [[column.upper() for column in columns]]
    cells += [[_cell(row, column) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _cell(row: dict[str, Any], column: str) -> str:
    value = row[column]
    if column == "expires":
        return "never" if value is None else value + (" (over)" if row["expired"] else "")
    return ",".join(value) if isinstance(value, list) else str(value)
