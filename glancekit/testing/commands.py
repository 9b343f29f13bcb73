# SPDX-License-Identifier: Apache-2.0
"""What commands of a package promise, as tests. A vendor inherits them, gives the module, and some
lines as they are typed::

    class TestAcmeCommands(CommandsConformance):
        names = ("acme",)
        examples = (Typed("acme list", says="nothing yet"), Typed("acme remove x", code=1))

        @pytest.fixture
        def plugin(self):
            return acme_commands

The numbers are those of ``docs/reference/contracts/commands.rst``. What else a command does is
asked by tests of its own, for which ``run`` types a line.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click
import pytest
from click.testing import CliRunner

from glancekit.cli import WRONG_CONFIG, Invocation, exit_code_of
from glancekit.cli.workbench import LateWorkbench, late_sections
from glancekit.core.drivers import PluginReport
from glancekit.core.hooks import Hooks
from glancekit.plugin import (
    API_LEVEL,
    Configuration,
    GlancekitError,
    MetadataDriver,
    Workbench,
)
from glancekit.testing.commands_reports import CommandsReports

NAME = "commands"

UNREADABLE = "[DEFAULT\nthis is no configuration\n"


@dataclass(frozen=True, slots=True)
class Typed:
    """A line as it is typed behind ``glancekit``, the code that it ends with, and what it says.

    ``{folder}`` in it stands for a folder of the test's.
    """

    line: str
    code: int = 0
    says: str = ""


@dataclass(slots=True)
class Outcome:
    """How a line ended: its exit code, what it said, and whether it read the configuration."""

    code: int
    output: str
    has_read: bool
    error: BaseException | None = None


class CommandsConformance(CommandsReports):
    """The promises of a module of commands. Give ``plugin``, ``names`` and ``examples``."""

    names: ClassVar[Sequence[str]] = ()
    """The commands that the package has entry points for with this module."""
    examples: ClassVar[Sequence[Typed]] = ()
    """Lines that can be typed one after the other, in a ``data_dir`` that is new to each test."""

    # -- what a vendor gives

    @pytest.fixture
    def plugin(self) -> Any:
        """The module that the entry points name. To be overridden."""
        pytest.fail("give your test class a fixture 'plugin' that returns the module to test")

    @pytest.fixture
    def configuration(self) -> str:
        """What the configuration has for the examples, besides a ``data_dir``. Optional."""
        return ""

    # -- the kit's own

    @pytest.fixture
    def config_file(self, configuration: str, tmp_path: Path) -> Path:
        """The configuration of the tests, as a file."""
        file = tmp_path / "commands.conf"
        file.write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'data'}\n\n{configuration}")
        return file

    @pytest.fixture
    def run(self, plugin: Any, config_file: Path, tmp_path: Path) -> Callable[[str], Outcome]:
        """Type a line, with the configuration of the tests."""
        return lambda line: typed(plugin, line.replace("{folder}", str(tmp_path)), config_file)

    @pytest.fixture
    def records(self, config_file: Path) -> Callable[[], AbstractContextManager[MetadataDriver]]:
        """Open the records that a command finds, for tests of one's own to put some there."""

        def opened() -> AbstractContextManager[MetadataDriver]:
            with click.Context(click.Command("records"), obj=_Quiet((str(config_file),))) as ctx:
                bench = LateWorkbench(ctx)
                config, _ = bench.configuration()
                return bench.metadata(config)

        return opened

    @pytest.fixture
    def offered(self) -> Callable[[Any], list[click.Command]]:
        """Return what a module offers."""
        return lambda plugin: _commands(plugin, [])

    @pytest.fixture
    def leaves(self) -> Callable[[Any], list[tuple[str, click.Command]]]:
        """Return what can be typed of what a module offers, and does something."""

        def leaves(plugin: Any) -> list[tuple[str, click.Command]]:
            return [
                (" ".join(path), one)
                for command in _commands(plugin, [])
                for path, one in _paths(command).items()
                if not isinstance(one, click.Group)
            ]

        return leaves

    def test_co01_it_says_what_it_was_written_for(self, plugin: Any) -> None:
        assert isinstance(plugin.api_level, int)
        assert 1 <= plugin.api_level <= API_LEVEL

    def test_co02_it_offers_commands_and_asks_for_no_more_than_there_is(self, plugin: Any) -> None:
        hooks = Hooks()
        hooks.add(NAME, plugin)
        assert hooks.register_commands(_sections([]), _Bench([]))

    def test_co03_there_is_one_for_each_entry_point(self, plugin: Any) -> None:
        assert self.names, "set 'names' to the names of the entry points"
        offered = _commands(plugin, [])
        assert all(isinstance(command, click.Command) for command in offered), offered
        assert sorted(str(command.name) for command in offered) == sorted(self.names)

    def test_co04_nothing_is_read_before_a_command_runs(self, plugin: Any) -> None:
        reads: list[str] = []
        for command in _commands(plugin, reads):
            for path in _paths(command):
                runner = CliRunner()
                outcome = runner.invoke(command, [*path[1:], "--help"], obj=Invocation())
                assert outcome.exit_code == 0, f"{' '.join(path)} --help: {outcome.output}"
        assert not reads, "--help is to do without the configuration"

    def test_co05_each_says_what_it_is_for(self, plugin: Any) -> None:
        for command in _commands(plugin, []):
            for path, one in _paths(command).items():
                said = " ".join(path)
                assert (one.help or "").strip(), f"{said} has no help text"
                for option in _options(one):
                    assert option.help, f"{said} {option.opts[0]} has no help text"

    def test_co06_examples_are_given(self) -> None:
        assert self.examples, "set 'examples' to lines and what becomes of them"
        assert {example.line.split()[0] for example in self.examples} == set(self.names)

    def test_co07_a_line_ends_as_it_is_said(self, run: Callable[[str], Outcome]) -> None:
        for example in self.examples:
            outcome = run(example.line)
            if outcome.error is not None:
                raise outcome.error
            assert outcome.code == example.code, f"{example.line}: {outcome.output}"
            assert example.says in outcome.output, example.line

    def test_co08_a_configuration_that_cannot_be_read_is_told(
        self, plugin: Any, run: Callable[[str], Outcome], tmp_path: Path
    ) -> None:
        reading = [example.line for example in self.examples if run(example.line).has_read]
        if not reading:
            pytest.skip("none of the examples reads the configuration")
        wrong = tmp_path / "wrong.conf"
        wrong.write_text(UNREADABLE)
        for line in reading:
            told = typed(plugin, line.replace("{folder}", str(tmp_path)), wrong)
            assert told.code == WRONG_CONFIG, f"{line}: {told.output}"


def typed(plugin: Any, line: str, file: Path) -> Outcome:
    """Type a line behind ``glancekit --config-file FILE``, and say how it ended."""
    reads: list[str] = []
    words = ["--config-file", str(file), *shlex.split(line)]
    ended = CliRunner().invoke(_program(plugin, reads), words)
    code, output, error = ended.exit_code, ended.output, ended.exception
    if isinstance(error, GlancekitError):
        code, output, error = exit_code_of(error), f"{output}glancekit: {error}\n", None
    elif isinstance(error, SystemExit):
        error = None
    return Outcome(code, output, bool(reads), error)


class _Quiet(Invocation):
    """Reads the configuration and leaves the logging to the tests."""

    def load_config(self, overrides: Mapping[tuple[str, str], Any] | None = None) -> Configuration:
        from glancekit.bootstrap import load_config  # the other kits do without all of the service

        return load_config(self.config_files, overrides)


class _Bench(Workbench):
    """A workbench that counts what it is asked; without another one behind it, it has nothing."""

    def __init__(self, reads: list[str], real: Workbench | None = None) -> None:
        self._reads = reads
        self._real = real

    def configuration(
        self, files: Sequence[str] = ()
    ) -> tuple[Configuration, Sequence[PluginReport]]:
        """See the hook."""
        return self._asked("configuration").configuration(files)

    def metadata(self, config: Configuration) -> AbstractContextManager[MetadataDriver]:
        """See the hook."""
        return self._asked("metadata").metadata(config)

    def _asked(self, what: str) -> Workbench:
        self._reads.append(f"workbench.{what}")
        if self._real is None:
            raise AssertionError(f"workbench.{what} was asked before a command runs")
        return self._real


def _program(plugin: Any, reads: list[str]) -> click.Group:
    """Return a program that has a package's commands alone."""

    class Program(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return sorted(self._all(ctx))

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return self._all(ctx).get(cmd_name)

        def _all(self, ctx: click.Context) -> dict[str, click.Command]:
            given: dict[str, Any] = {
                "read_section": _sections(reads, late_sections(ctx)),
                "workbench": _Bench(reads, LateWorkbench(ctx)),
            }
            return {str(command.name): command for command in _commands(plugin, reads, **given)}

    @click.group(cls=Program)
    @click.option("--config-file", "config_files", multiple=True)
    @click.pass_context
    def program(ctx: click.Context, config_files: tuple[str, ...]) -> None:
        ctx.obj = _Quiet(config_files)

    return program


def _commands(plugin: Any, reads: list[str], **given: Any) -> list[Any]:
    hooks = Hooks()
    hooks.add(NAME, plugin)
    usual: dict[str, Any] = {"read_section": _sections(reads), "workbench": _Bench(reads)}
    return hooks.register_commands(**usual | given)


def _sections(reads: list[str], real: Any = None) -> Callable[[str, Sequence[Any]], Any]:
    def read_section(section: str, options: Sequence[Any]) -> Any:
        reads.append(f"read_section({section!r})")
        if real is None:
            raise AssertionError(f"[{section}] was read before a command runs")
        return real(section, options)

    return read_section


def _paths(command: click.Command) -> dict[tuple[str, ...], click.Command]:
    """Return a command and all that are below it, by what is typed for each."""

    def walk(
        one: click.Command, path: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        yield path, one
        if isinstance(one, click.Group):
            with click.Context(one) as ctx:
                for name in one.list_commands(ctx):
                    below = one.get_command(ctx, name)
                    assert below is not None, f"{' '.join((*path, name))} is listed and not there"
                    yield from walk(below, (*path, name))

    return dict(walk(command, (str(command.name),)))


def _options(command: click.Command) -> Iterator[click.Option]:
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield parameter
