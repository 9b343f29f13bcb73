# SPDX-License-Identifier: Apache-2.0
"""``glancekit config``: what is configured, whether it can be used, and what could be."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import click
from oslo_config import cfg

from glancekit.cli import WRONG_CONFIG, Invocation
from glancekit.cli.tables import Shape, format_option, show
from glancekit.core import drivers
from glancekit.core.config import UpstreamOption
from glancekit.core.options import service_options
from glancekit.core.options.stores import store_options
from glancekit.core.survey import installed


@click.group()
def config() -> None:
    """Show, check or write the configuration."""


@config.command("show")
@format_option
@click.pass_obj
def show_config(invocation: Invocation, shape: Shape) -> None:
    """Show every option's value and where it comes from. Secrets are not shown.

    A value comes from the command line, else from the environment (OS_SECTION__OPTION, say
    OS_DEFAULT__DEBUG), else from the configuration files, else it is the option's default.
    """
    from glancekit.bootstrap.parts import load_parts

    loaded = invocation.load_config()
    load_parts(loaded)  # makes the drivers' options known
    rows = [
        {
            "section": setting.section,
            "option": setting.option.name,
            "value": _shown(setting.option, setting.value),
            "from": setting.origin,
        }
        for setting in loaded.settings()
    ]
    show(("section", "option", "value", "from"), rows, shape)


@config.command()
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say what is wrong with the configuration; exit code 0 when nothing is, else 78.

    Options of upstream's are listed with what they set here, or why they do nothing.
    """
    from glancekit.bootstrap.apart import require_apart
    from glancekit.bootstrap.fitting import mounted
    from glancekit.bootstrap.parts import load_parts, unread_sections
    from glancekit.cli.objections import objections

    loaded = ctx.obj.load_config()
    default = loaded.default_store
    parts = load_parts(loaded)
    problems = [
        f"{report.use}: plugin {report.name}: {report.reason}"
        for report in parts.plugins
        if report.state is not drivers.PluginState.OK
    ]
    unread = unread_sections(parts)
    problems += loaded.unknown(unread=unread)
    problems += objections(loaded, lambda: require_apart(loaded, mounted(loaded, parts)))
    for problem in problems:
        click.echo(problem)
    _show_upstream(loaded.upstream(unread=unread))
    if problems:
        ctx.exit(WRONG_CONFIG)
    files = ", ".join(str(file) for file in loaded.files) or "no file, defaults only"
    click.echo(f"The configuration can be used ({files}); the default store is '{default}'.")


@config.command()
def sample() -> None:
    """Write a configuration file with every option of the service and of installed drivers."""
    from glancekit.bootstrap import FURTHER_SECTIONS

    always = {**service_options(), **FURTHER_SECTIONS}
    per_driver = {"metadata": drivers.METADATA, "auth": drivers.AUTH}
    for section, options in always.items():
        _write_section(section, options)
        if section in per_driver:
            for name, more in _driver_options(per_driver[section]):
                _write_options(f"With driver = {name}:", more)
    for name, more in _driver_options(drivers.STORES):
        _write_section(f"id of a store whose driver is {name}", [*store_options(), *more])


def _show_upstream(options: Sequence[UpstreamOption]) -> None:
    if not options:
        return
    rows = [
        {
            "section": f"[{use.section}]",
            "option": use.option,
            "here": ", ".join(f"[{section}] {name}" for section, name in use.sets)
            or f"ignored: {use.reason}",
        }
        for use in sorted(options, key=lambda use: (not use.sets, use.section, use.option))
    ]
    show(("section", "option", "here"), rows, Shape())


def _driver_options(group: str) -> list[tuple[str, Sequence[cfg.Opt]]]:
    return [(name, kind.options) for name, kind in installed(group, deadline=5.0).items()]


def _write_section(title: str, options: Iterable[cfg.Opt]) -> None:
    click.echo(f"[{title}]" if title.isidentifier() else f"#[{title}]")
    _write_options("", options)


def _write_options(heading: str, options: Iterable[cfg.Opt]) -> None:
    options = list(options)
    if heading and options:
        click.echo(f"# {heading}\n")
    for option in options:
        for line in textwrap.wrap(option.help or "", width=96):
            click.echo(f"# {line}")
        click.echo(f"#{option.name} = {_default(option)}".rstrip() + "\n")


def _default(option: cfg.Opt) -> str:
    if option.sample_default is not None:
        return f"<{option.sample_default}>"
    return _written(option.default)


def _shown(option: cfg.Opt, value: Any) -> str:
    return "***" if option.secret and value else _written(value)


def _written(value: Any) -> str:
    """Return a value as one would write it in a file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key}:{part}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
