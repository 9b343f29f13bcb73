# SPDX-License-Identifier: Apache-2.0
"""The command line: what an operator types. What a command does is its own module's business.

A command's module is imported when the command is used, so that ``glancekit --help`` is quick.
Exit codes: 0 it worked, 1 it did not, 2 it was typed wrongly, 78 the configuration is wrong;
docs/reference/commands.rst has those of single commands.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from glancekit import __version__
from glancekit.cli import offered
from glancekit.core.errors import ConfigError, GlancekitError

if TYPE_CHECKING:
    from glancekit.core.config import Configuration

WRONG_CONFIG = 78
"""EX_CONFIG of sysexits.h, by which a supervisor can see that starting again will not help."""

COMMANDS = {
    "serve": ("glancekit.cli.serve:serve", "Run the image service."),
    "image": (
        "glancekit.cli.image.commands:image",
        "Create, list, show, save and change images of a service.",
    ),
    "cache": ("glancekit.cli.cache:cache", "Show and fill the image cache of a host."),
    "worker": ("glancekit.cli.worker:worker", "Run imports."),
    "periodic": ("glancekit.cli.periodic:periodic", "Run periodic tasks; show and drive them."),
    "task": ("glancekit.cli.task:task", "Show imports; cancel them, try them again."),
    "config": ("glancekit.cli.config:config", "Show, check or write the configuration."),
    "audit": ("glancekit.cli.audit:audit", "Show what audits found of copies; audit now."),
    "placement": (
        "glancekit.cli.placement:placement",
        "Show the rules on where copies should be; explain them.",
    ),
    "db": ("glancekit.cli.db:db", "Look after the database schema."),
    "policy": ("glancekit.cli.policy:policy", "Show the rules, and explain what they decide."),
    "metadefs": ("glancekit.cli.metadefs:metadefs", "Load, export, enforce metadata definitions."),
    "quota": ("glancekit.cli.quota:quota", "Show what projects use and may use."),
    "usage": ("glancekit.cli.usage:usage", "Show what projects took of stores, in byte-hours."),
    "plugins": ("glancekit.cli.plugins:plugins", "Show what is installed, and how it is."),
    "plugin": ("glancekit.cli.scaffold.command:plugin", "Begin a plugin of your own."),
    "completion": (
        "glancekit.cli.completion:completion",
        "Let a shell complete commands and options.",
    ),
    "stores": ("glancekit.cli.stores:stores", "Show what is mounted, and what it can do."),
}
"""Each command: where it is, and its line in the list of commands. Packages may add more."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was typed before the command's name; the command finds it as ``ctx.obj``."""

    config_files: tuple[str, ...] = ()
    debug: bool = False

    def load_config(self, overrides: Mapping[tuple[str, str], Any] | None = None) -> Configuration:
        """Read the configuration and set up logging as it says.

        :raises ConfigError: when the configuration cannot be used.
        """
        from glancekit.bootstrap import load_config
        from glancekit.cli import logs

        chosen = dict(overrides or {})
        if self.debug:
            chosen["DEFAULT", "debug"] = True
        config = load_config(self.config_files, chosen)
        logs.set_up(config)
        return config


class LateCommands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return [*COMMANDS, *offered.names(besides=COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None when there is none of that name."""
        if cmd_name not in COMMANDS:
            from glancekit.cli.workbench import LateWorkbench, late_sections

            return offered.load(cmd_name, late_sections(ctx), LateWorkbench(ctx))
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            lines = [(name, line) for name, (_, line) in COMMANDS.items()]
            formatter.write_dl([*lines, *offered.names(besides=COMMANDS).items()])


@click.group(cls=LateCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config-file",
    "config_files",
    multiple=True,
    metavar="FILE",
    help="Configuration file; may be given several times, later ones count more. Default: "
    "/etc/glancekit/glancekit.conf, else ~/.config/glancekit/glancekit.conf.",
)
@click.option("--debug", is_flag=True, help="Log more.")
@click.version_option(__version__, prog_name="glancekit")
@click.pass_context
def cli(ctx: click.Context, config_files: tuple[str, ...], debug: bool) -> None:
    """An image service (OpenStack Images API v2) that you extend with pip install."""
    ctx.obj = Invocation(config_files, debug)


def exit_code_of(error: GlancekitError) -> int:
    """Return what a process ends with that an error has ended."""
    return WRONG_CONFIG if isinstance(error, ConfigError) else 1


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = cli.main(prog_name="glancekit", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = 130  # what a shell makes of Ctrl-C
    except GlancekitError as error:
        click.echo(f"glancekit: {error}", err=True)
        code = exit_code_of(error)
    sys.exit(code)
