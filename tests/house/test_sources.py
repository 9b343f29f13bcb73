# SPDX-License-Identifier: Apache-2.0
"""Every source file says what it is and under which licence, and is named after a concept."""

from __future__ import annotations

import ast
import re
from pathlib import Path

LICENCE = "# SPDX-License-Identifier: Apache-2.0"
BANNED = {"utils", "util", "common", "base", "helpers", "helper", "manager", "managers", "misc"}
STRANGE = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:work|root)/",  # somebody's machine
            r"\bpypi" r"\.(?:org|python)",  # a registry is the installer's business
            r"files\.python" r"hosted",
            r"\bdebian" r"\.org\b",
        ]
    )
)
TEXT = {".py", ".rst", ".cfg", ".toml", ".sh", ".txt", ".json", ".ini", ".mako", ""}


def test_it_begins_with_its_licence(python_file: Path):
    lines = python_file.read_text().splitlines()
    assert lines, "an empty module says nothing; give it a docstring"
    assert lines[0] == LICENCE


def test_it_says_what_it_is(python_file: Path):
    docstring = ast.get_docstring(ast.parse(python_file.read_text()))
    assert docstring
    first = docstring.splitlines()[0]
    assert first.endswith((".", ":", "?")) or "\n" in docstring


def test_it_is_named_after_a_concept(module: Path):
    assert not BANNED & {module.stem, *module.parent.parts}


def test_nothing_is_left_for_later(module: Path):
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", module.read_text())


def test_nothing_points_to_a_machine_or_a_registry(any_file: Path):
    if any_file.suffix in TEXT:
        assert not STRANGE.search(any_file.read_text(errors="replace"))


def test_test_folders_are_no_packages(root: Path):
    """pytest imports by path (importlib mode), so that equal names in ten plugins do not clash.

    What is taken for a stranger's package is one.
    """
    found = [*root.glob("tests/**/__init__.py"), *root.glob("plugins/*/tests/**/__init__.py")]
    assert not [path for path in found if "out_of_tree" not in path.parts]
