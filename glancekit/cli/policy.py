# SPDX-License-Identifier: Apache-2.0
"""``glancekit policy``: which rules there are, and why somebody may do something or may not.

Nothing is decided here; the rules are asked as the service asks them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from glancekit.cli import Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core.errors import ImageNotFound
from glancekit.core.model.identity import Identity, Viewer
from glancekit.core.model.image import Image, Visibility
from glancekit.services.access import ADMIN, RULES, Access, credentials_of, target_of

if TYPE_CHECKING:
    from glancekit.core.config import Configuration
    from glancekit.services.policy import PolicyRules

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT = "default"
_SOMEBODY_ELSE = "some-other-project"


def _caller_options(command: F) -> F:
    """Let a command be told who is asking."""
    options = (
        click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role they have."),
        click.option("--project", metavar="ID", help="Their project; without, they have none."),
        click.option("--user", metavar="ID", help="Their user id."),
        click.option(
            "--service-role",
            "service_roles",
            multiple=True,
            metavar="ROLE",
            help="A role of the service that asks in their name.",
        ),
        click.option("--read-only", is_flag=True, help="They may change nothing."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def policy() -> None:
    """Show the rules, and explain what they decide."""


@policy.command("show")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="Show what this role may.")
@format_option
@click.pass_obj
def show_rules(invocation: Invocation, roles: tuple[str, ...], shape: Shape) -> None:
    """Show every rule, and whether it is the default or from which file and line.

    With --role, also what somebody of that role may do: to things of their own project (own), and
    to public things of another (public).
    """
    access, rules = _rules(invocation.load_config())
    columns = ["rule", "check", "from", "about"]
    columns[1:1] = ["own", "public"] if roles else []
    caller = access.recognise(_identity(roles, "their-project"))
    rows = [
        {
            "rule": name,
            "check": rules.text(name) or "@",
            "from": _origin(rules, name),
            "about": RULES[name].help if name in RULES else "",
            "own": _yes_no(_may(access, caller, name, "their-project", Visibility.PRIVATE)),
            "public": _yes_no(_may(access, caller, name, _SOMEBODY_ELSE, Visibility.PUBLIC)),
        }
        for name in rules.names()
    ]
    show(columns, rows, shape)


@policy.command()
@click.argument("action")
@_caller_options
@click.option("--image", "image_id", metavar="ID", help="The image that they want to do it to.")
@click.option("--owner", metavar="ID", help="Instead: whose thing it is. Default: their own.")
@click.option(
    "--visibility",
    type=click.Choice([str(kind) for kind in Visibility]),
    help="Instead: how visible the thing is.",
)
@click.option("--member", metavar="ID", help="The project that it is shared with.")
@click.pass_context
def check(
    ctx: click.Context,
    action: str,
    roles: tuple[str, ...],
    project: str | None,
    user: str | None,
    service_roles: tuple[str, ...],
    read_only: bool,
    image_id: str | None,
    owner: str | None,
    visibility: str | None,
    member: str | None,
) -> None:
    """Say whether somebody may do ACTION, by which rule, and which of its parts held.

    Exit code 0 when they may, 1 when not.
    """
    if image_id is not None and (owner is not None or visibility is not None):
        raise click.UsageError("--image has an owner and a visibility of its own")
    config = ctx.obj.load_config()
    access, rules = _rules(config)
    if action not in RULES:
        near = difflib.get_close_matches(action, RULES, n=1)
        hint = f" Did you mean {near[0]}?" if near else " See 'glancekit policy show'."
        raise click.UsageError(f"There is no rule '{action}'.{hint}")
    stated = _identity(roles, project, user, service_roles, read_only)
    caller = access.recognise(stated)
    image = None if image_id is None else _image(config, caller, image_id)
    thing = _Thing(caller, image, owner, visibility, member)
    _tell_admin(rules, caller)
    _explain(rules, action, caller, thing)
    allowed = access.may(
        caller,
        action,
        owner=thing.owner,
        image=image,
        member=member,
        visibility=visibility,
    )
    click.echo(f"{'Allowed' if allowed else 'Refused'}: {action}")
    ctx.exit(0 if allowed else 1)


class _Thing:
    """What a check is about: an image that is there, or one as it was described."""

    def __init__(
        self,
        caller: Identity,
        image: Image | None,
        owner: str | None,
        visibility: str | None,
        member: str | None,
    ) -> None:
        described = owner if owner is not None else caller.project_id
        self.owner = image.owner if image is not None else described
        self.target = target_of(
            caller, self.owner, image=image, member=member, visibility=visibility
        )


def _explain(rules: PolicyRules, action: str, caller: Identity, thing: _Thing) -> None:
    click.echo(f"Rule {action} ({_origin(rules, action)}): {rules.text(action) or '@'}")
    if caller.project_id is None:
        click.echo("All rules are about projects, and this caller has none.")
        return
    if caller.read_only and not RULES[action].reads:
        click.echo("This changes something, and the caller may only read.")
        return
    _tell_values(thing.target)
    for part in rules.explain(action, credentials_of(caller), thing.target):
        click.echo(f"{'  ' * (part.depth + 1)}{'yes' if part.held else 'no '} {part.text}")


def _tell_admin(rules: PolicyRules, caller: Identity) -> None:
    name = "an administrator" if caller.is_admin else "no administrator"
    click.echo(f"The caller is {name} ({ADMIN}, {_origin(rules, ADMIN)}: {rules.text(ADMIN)})")


def _tell_values(target: Mapping[str, Any]) -> None:
    names = ("owner", "project_id", "member_id", "visibility", "image_id", "status")
    known = [f"{name}={target[name]}" for name in names if name in target]
    click.echo(f"It is about {', '.join(known)}")


def _may(
    access: Access, caller: Identity, name: str, owner: str, visibility: Visibility
) -> bool | None:
    if name not in RULES:
        return None
    # The one rule that is about a membership alone: whether they may answer an invitation.
    member = caller.project_id if name == "modify_member" else None
    return access.may(caller, name, owner=owner, visibility=visibility, member=member)


def _yes_no(answer: bool | None) -> str | None:
    return None if answer is None else ("yes" if answer else "no")


def _origin(rules: PolicyRules, name: str) -> str:
    return rules.written[name].place if name in rules.written else _DEFAULT


def _identity(
    roles: tuple[str, ...],
    project: str | None,
    user: str | None = None,
    service_roles: tuple[str, ...] = (),
    read_only: bool = False,
) -> Identity:
    return Identity(
        user_id=user,
        project_id=project,
        roles=frozenset(role.lower() for role in roles),
        service_roles=frozenset(role.lower() for role in service_roles),
        read_only=read_only,
    )


def _rules(config: Configuration) -> tuple[Access, PolicyRules]:
    from glancekit.bootstrap.settings import rule_files_of
    from glancekit.services import policy
    from glancekit.services.rule_files import policy_files, read

    files = rule_files_of(config)
    access, _ = read(files)
    return access, policy.load(policy_files(files))


def _image(config: Configuration, caller: Identity, image_id: str) -> Image:
    """Return an image as its record says, if the caller can see it.

    :raises ImageNotFound: when there is none.
    """
    from glancekit.bootstrap.parts import load_metadata

    metadata = load_metadata(config)
    try:
        metadata.start()
        with metadata.unit_of_work(read_only=True) as work:
            image = work.images.get(image_id)
            try:
                work.images.get(image_id, viewer=Viewer.of(caller))
            except ImageNotFound:
                click.echo(
                    "The caller does not see this image, whatever the rules: it is neither "
                    "theirs, nor shared with them, nor public or community. They get a 404."
                )
                click.get_current_context().exit(1)
    finally:
        metadata.close()
    return image
