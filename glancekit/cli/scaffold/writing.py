# SPDX-License-Identifier: Apache-2.0
"""The files of a new plugin, out of the templates. What is asked of a name is told here, too."""

from __future__ import annotations

import re
import string
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from glancekit.cli.scaffold import templates
from glancekit.cli.scaffold.kinds import Kind
from glancekit.core import drivers
from glancekit.core.errors import Duplicate, Invalid

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST_NAME = 40


class Text(string.Template):
    """A template; nothing that may be in a plugin's file means anything in it but ``~~{word}``."""

    delimiter = "~~"


def distribution_of(kind: Kind, name: str) -> str:
    """Return what the plugin's package is called, by the rule for its kind.

    :raises Invalid: when the name cannot be one.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        raise Invalid(
            f"'{name}' cannot be a plugin's name: write up to {_LONGEST_NAME} small letters and "
            "digits that begin with a letter; dashes may be between them"
        )
    return drivers.KINDS[kind.group].package.format(name=name.replace("_", "-"))


def write(kind: Kind, name: str, folder: Path) -> list[str]:
    """Write a plugin into a folder that is not there yet, all of it or nothing; return its files.

    :raises Duplicate: when the folder is there.
    """
    words = _words(kind, name)
    texts = {to: _text(source, words) for to, source in _plan(kind, words).items()}
    if folder.exists() or folder.is_symlink():
        raise Duplicate(kind="folder", key=str(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as partial:
        made = Path(partial, "plugin")
        for to, text in texts.items():
            path = made / to
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        made.rename(folder)
    return list(texts)


def _plan(kind: Kind, words: Mapping[str, str]) -> dict[str, str]:
    """Return each file and the template that it is made of."""
    module, source = words["module"], kind.source
    return {
        "setup.cfg": "setup.cfg",
        "pyproject.toml": "pyproject.toml",
        "README.rst": "README.rst",
        f"{module}/__init__.py": "package.py",
        f"{module}/py.typed": "py.typed",
        f"{module}/{source}.py": f"{source}.py",
        f"tests/test_{words['snake']}_{source}.py": f"test_{source}.py",
    }


def _words(kind: Kind, name: str) -> dict[str, str]:
    distribution = distribution_of(kind, name)
    camel = "".join(part.capitalize() for part in re.split("[-_]", name))
    words = {
        "name": name,
        "snake": name.replace("-", "_"),
        "distribution": distribution,
        "underline": "=" * len(distribution),
        "module": distribution.replace("-", "_"),
        "source": kind.source,
        "Class": camel + kind.suffix,
        "group": kind.group,
        "entry": f":{camel}{kind.suffix}" if kind.suffix else "",
        "what": kind.what,
        "requires": f"\n    {kind.requires}" if kind.requires else "",
        "api_level": str(drivers.API_LEVEL),
    }
    configuration = Text(kind.configuration).substitute(words)
    indented = [f"    {line}".rstrip() for line in configuration.splitlines()]
    return words | {"configuration": "\n".join(indented)}


def _text(source: str, words: Mapping[str, str]) -> str:
    template = (files(templates) / f"{source}.tmpl").read_text(encoding="utf-8")
    return Text(template).substitute(words)
