# SPDX-License-Identifier: Apache-2.0
"""Every hook is described, tested, used by something that ships, and named after its moment."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from glancekit.core import hookspecs

HOOKS = {
    name: value
    for name, value in vars(hookspecs).items()
    if hasattr(value, f"{hookspecs.PROJECT}_spec")
}
PREFIXES = ("register_", "before_", "after_", "choose_", "should_", "objections_to_", "observers_")


@pytest.mark.parametrize("hook", HOOKS)
class TestHook:
    """Each one alone."""

    def test_its_prefix_tells_what_it_returns(self, hook):
        assert hook.startswith(PREFIXES)

    def test_it_is_described_with_its_arguments(self, hook, root):
        arguments = ", ".join(inspect.signature(HOOKS[hook]).parameters)
        heading = f"{hook}({arguments})"
        text = (root / "docs/reference/hooks.rst").read_text()
        assert re.search(rf"^{re.escape(heading)}\n-+$", text, re.MULTILINE), heading

    def test_it_has_a_test(self, hook, root):
        assert uses(root, f"def test_hook_{hook}", "tests/**/*.py", "plugins/*/tests/**/*.py")

    def test_something_that_ships_listens(self, hook, root):
        listens = rf"@hookimpl.*\n\s+(def|async def) {hook}\("
        listens_at_top = rf"@hookimpl.*\ndef {hook}\("
        shipped = ("glancekit/**/*.py", "plugins/*/glancekit_*/**/*.py")
        assert uses(root, f"{listens}|{listens_at_top}", *shipped)


def uses(root: Path, pattern: str, *places: str) -> bool:
    return any(
        re.search(pattern, path.read_text()) for place in places for path in root.glob(place)
    )


def test_there_are_hooks():
    assert HOOKS
