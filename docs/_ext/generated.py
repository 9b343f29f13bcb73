# SPDX-License-Identifier: Apache-2.0
"""Directives that write reference pages from the code: options, commands, capabilities.

A page made so cannot fall behind; what a thing is for is said where it is declared.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click
from docutils import nodes
from oslo_config import cfg
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from glancekit.bootstrap import FURTHER_SECTIONS
from glancekit.cli import cli
from glancekit.core import drivers
from glancekit.core.contracts.store import CAPABILITIES
from glancekit.core.options import service_options
from glancekit.core.options.stores import store_options
from glancekit.core.survey import installed

PATIENCE = 30.0
"""Seconds for one plugin to be imported."""

KINDS_WITH_OPTIONS = {
    "metadata": drivers.METADATA,
    "auth": drivers.AUTH,
    "import methods": drivers.IMPORT_METHODS,
    "import steps": drivers.IMPORT_STEPS,
    "cache policies": drivers.CACHE_POLICIES,
    "hooks": drivers.HOOKS,
}


class Generated(SphinxDirective):
    """Parses what ``lines`` says as if it stood in the page."""

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the text."""
        return self.parse_text_to_nodes("\n".join(self.lines()), allow_section_headings=True)

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the text."""
        ...


class Options(Generated):
    """``.. glancekit-options::`` Every option of the service and of the drivers in this tree."""

    def lines(self) -> Iterator[str]:
        """Yield a heading for each section and an entry for each option."""
        for section, options in {**service_options(), **FURTHER_SECTIONS}.items():
            yield from _section(f"[{section}]", options)
        for title, group in KINDS_WITH_OPTIONS.items():
            for name, kind in _installed(group).items():
                section = getattr(kind, "section", "")
                where = f"[{section}], {title}: {name}" if section else f"{title}: {name}"
                yield from _section(where, getattr(kind, "options", ()))
                for further, options in getattr(kind, "further_options", {}).items():
                    yield from _section(f"[{further}], {title}: {name}", options)
        yield from _section("A store's section, whatever its driver", store_options())
        for name, kind in _installed(drivers.STORES).items():
            yield from _section(f"A store's section with driver {name}", kind.options)


class Commands(Generated):
    """``.. glancekit-commands::`` Every command, its arguments and options."""

    def lines(self) -> Iterator[str]:
        """Yield a heading for each command that does something."""
        with click.Context(cli, info_name="glancekit") as context:
            for path, command in _leaves(context, cli, ()):
                yield from _command(path, command)


class Capabilities(Generated):
    """``.. glancekit-capabilities::`` Which store can do what."""

    def lines(self) -> Iterator[str]:
        """Yield a table: a row for each capability, a column for each store."""
        stores = _installed(drivers.STORES)
        yield from (".. list-table::", "   :header-rows: 1", "   :stub-columns: 1", "")
        yield from _row(["", *stores])
        for capability in CAPABILITIES:
            marks = ["yes" if issubclass(kind, capability) else "" for kind in stores.values()]
            yield from _row([f"``{capability.__name__}``", *marks])


def _installed(group: str) -> Mapping[str, Any]:
    return dict(sorted(installed(group, deadline=PATIENCE).items()))


def _row(cells: Sequence[str]) -> Iterator[str]:
    for place, cell in enumerate(cells):
        yield f"   {'*' if place == 0 else ' '} - {cell}".rstrip()


def _section(title: str, options: Iterable[cfg.Opt]) -> Iterator[str]:
    listed = list(options)
    if not listed:
        return
    yield from _heading(title, "-")
    for option in listed:
        yield f"``{option.name}``"
        yield f"    {_sentence(option)}"
        yield f"    Default: {_default(option)}."
        yield ""


def _sentence(option: cfg.Opt) -> str:
    return _literal(" ".join((option.help or "").split()))


def _default(option: cfg.Opt) -> str:
    value = option.sample_default if option.sample_default is not None else option.default
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    return f"``{value}``" if str(value).strip() else "empty"


def _leaves(
    context: click.Context, group: click.Group, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _leaves(context, command, (*path, name))
        elif command is not None:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    yield from _heading(f"glancekit {' '.join(path)}", "-")
    yield from (_literal(line.strip()) for line in (command.help or "").splitlines())
    yield ""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            yield f"``{parameter.make_metavar(click.Context(command))}``"
            yield f"    {'Required.' if parameter.required else 'May be left out.'}"
        elif isinstance(parameter, click.Option):
            yield f"``{', '.join((*parameter.opts, *parameter.secondary_opts))}``"
            yield f"    {_literal(parameter.help or '')}".rstrip()
        yield ""


def _heading(title: str, line: str) -> Iterator[str]:
    yield from ("", _literal(title), line * (len(title) + 4), "")


def _literal(text: str) -> str:
    """Keep reStructuredText from reading marks where a help text means characters."""
    return re.sub(r"(?<!`)([*|\\]|(?<=\w)_(?=\W|$))", r"\\\1", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directives to Sphinx."""
    app.add_directive("glancekit-options", Options)
    app.add_directive("glancekit-commands", Commands)
    app.add_directive("glancekit-capabilities", Capabilities)
    return {"parallel_read_safe": True}
