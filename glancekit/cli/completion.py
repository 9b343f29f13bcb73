# SPDX-License-Identifier: Apache-2.0
"""``glancekit completion``: how a shell is told to complete commands. Completing is click's."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")

_VARIABLE = "_GLANCEKIT_COMPLETE"
"""By which the shell asks the program; click makes it of the program's name."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write what lets a SHELL complete commands and options (bash, zsh or fish).

    For bash: eval "$(glancekit completion bash)" in ~/.bashrc, for zsh the same with zsh. For
    fish: glancekit completion fish > ~/.config/fish/completions/glancekit.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "glancekit", _VARIABLE).source())
