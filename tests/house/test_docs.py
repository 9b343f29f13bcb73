# SPDX-License-Identifier: Apache-2.0
"""The documentation builds without a warning and leaves out no option, command or page."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys

import click
import pytest
from oslo_config import cfg

from glancekit.bootstrap import FURTHER_SECTIONS
from glancekit.cli import cli
from glancekit.core import drivers
from glancekit.core.options import service_options
from glancekit.core.options.stores import store_options
from glancekit.core.survey import installed

GROUPS = (
    drivers.METADATA,
    drivers.AUTH,
    drivers.STORES,
    drivers.IMPORT_METHODS,
    drivers.IMPORT_STEPS,
    drivers.CACHE_POLICIES,
)


UNITS = re.compile(
    r"\b(seconds?|hours?|bytes?|[KMG]i?B|digits|characters|how (many|often)|"
    r"(segments|parts|ranges|requests|reads|writes|connections|redirects|times) )",
    re.IGNORECASE,
)
"""What a store's number may be of."""


@pytest.fixture(scope="module")
def pages(root, tmp_path_factory):
    """The text of each page of the built documentation."""
    built = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run([*command, root / "docs", built], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(built).with_suffix("")): plain(path.read_text())
        for path in built.rglob("*.html")
    }


def plain(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def all_options():
    listed = [*service_options().values(), *FURTHER_SECTIONS.values(), store_options()]
    for group in GROUPS:
        listed.extend(kind.options for kind in installed(group, deadline=30.0).values())
    return [option for options in listed for option in options]


def test_every_page_is_reached_from_the_index(pages, root):
    written = {
        str(path.relative_to(root / "docs").with_suffix(""))
        for path in (root / "docs").rglob("*.rst")
    }
    assert written <= pages.keys()


def test_every_option_is_there(pages):
    names = {option.name for option in all_options()}
    assert names
    assert not {name for name in names if name not in pages["reference/options"]}


def test_every_option_says_what_it_means():
    assert not [option.name for option in all_options() if not option.help]


def options_of_stores():
    found = {name: kind.options for name, kind in installed(drivers.STORES, deadline=30.0).items()}
    assert len(found) > 5
    return found


def test_every_number_of_a_store_says_what_it_is_of():
    numbers = [
        option
        for options in (*options_of_stores().values(), store_options())
        for option in options
        if isinstance(option, cfg.IntOpt | cfg.FloatOpt)
    ]
    assert len(numbers) > 20
    named = {"weight", "breaker_failures"}
    assert not [
        option.name
        for option in numbers
        if option.name not in named and not UNITS.search(option.help)
    ]


def test_the_readme_of_a_store_has_each_of_its_options(root):
    lacking = [
        option.name
        for name, options in options_of_stores().items()
        for option in options
        if not re.search(
            rf"\b{option.name}\b", (root / "plugins" / f"{name}_store" / "README.rst").read_text()
        )
    ]
    assert not lacking


def test_the_page_on_many_stores_has_each_of_their_options_with_its_default(root):
    page = (root / "docs" / "howto" / "many-stores.rst").read_text()
    told = dict(re.findall(r"^(\w+)  +(\S+)  +\w", page, re.MULTILINE))
    assert told == {option.name: written(option.default) for option in store_options()}


def written(default):
    """A default as a table has it."""
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, int | float) else default or "(empty)"


def test_every_command_is_there(pages):
    with click.Context(cli) as context:
        missing = [
            name
            for name in cli.list_commands(context)
            if f"glancekit {name}" not in pages["reference/commands"]
        ]
    assert not missing


def test_decisions_are_counted(root):
    files = sorted((root / "docs" / "decisions").glob("*.rst"))
    assert [path.name[:5] for path in files] == [f"{n:04}-" for n in range(1, len(files) + 1)]
    for path in files:
        assert path.read_text().startswith(f"{path.name[:4]}: "), path.name


SHELL_ENDS = {"|", "||", "&&", "&", ";", "<", ">", ">>", "2>&1", "...", "#"}
BEFORE = r"(?:\$ )?(?:\S+=\S* )*(?:sudo -u \S+ )?(?:\S*/)?"
IN_BLOCK = re.compile(rf"^ +{BEFORE}glancekit (\S.*)$", re.MULTILINE)
INLINE = re.compile(r"``glancekit (\S[^`]*)``")


def written_commands(root):
    """The command lines of glancekit's in what is written, each with the file that has it."""
    files = [*(root / "docs").rglob("*.rst"), *root.glob("*.rst"), *root.glob("plugins/*/*.rst")]
    for file in files:
        text = re.sub(r"\\\n\s+", "", file.read_text())
        text_in_lines = re.sub(r"``glancekit[^`]*``", lambda m: m[0].replace("\n", " "), text)
        for line in [*IN_BLOCK.findall(text), *INLINE.findall(text_in_lines)]:
            yield file.relative_to(root), line


def what_is_wrong_with(line):
    """Return which word of a command line glancekit would not know, "" where it knows all."""
    words = shlex.split(re.sub(r"[()|]", " \\g<0> ", line), comments=True)
    command, ctx = cli, click.Context(cli)
    while words:
        word = words.pop(0)
        if word in SHELL_ENDS or re.fullmatch(r"\d?>.*|\)|\W+", word):
            return ""
        if word.startswith("-"):
            name, has_value, _ = word.partition("=")
            known = {"--help": None, "-h": None} | {
                option: parameter
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            if name not in known:
                return word
            option = known[name]
            if option is not None and not (has_value or option.is_flag or option.count):
                words[:1] = []
        elif isinstance(command, click.Group):
            if word.isupper():  # a place for the name of any
                return ""
            found = command.get_command(ctx, word)
            if found is None:
                return word
            command, ctx = found, click.Context(found, parent=ctx)
    return ""


def test_what_glancekit_does_not_know_is_found():
    assert what_is_wrong_with("image creat my-image") == "creat"
    assert what_is_wrong_with("--config-file x image list --no-such") == "--no-such"
    assert what_is_wrong_with("image create my-image --file disk.raw | tee log") == ""


def test_commands_that_pages_tell_to_type_exist(root):
    lines = list(written_commands(root))
    assert len(lines) > 200
    wrong = {
        f"{file}: glancekit {line}": word
        for file, line in lines
        if (word := what_is_wrong_with(line))
    }
    assert not wrong
