# SPDX-License-Identifier: Apache-2.0
"""The reference pages name every route and every error, with the status that it really has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glancekit.api.app import create_app
from glancekit.api.errors import row_for
from glancekit.bootstrap import bootstrap, load_config
from glancekit.core import errors

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"

_HEADING = re.compile(r"^``([A-Z]+ /\S*)``\n~+$", re.MULTILINE)
_ERROR_ROW = re.compile(r"^``(\w+)`` +(\d{3}) ", re.MULTILINE)


def _as_documented(rule: str) -> str:
    return rule.replace("<", "{").replace(">", "}")


def test_every_route_has_a_heading_and_every_heading_a_route(tmp_path: Path) -> None:
    overrides = {("DEFAULT", "data_dir"): str(tmp_path)}
    with bootstrap(load_config([], overrides)) as world:
        rules = list(create_app(world).url_map.iter_rules())
    routes = {
        f"{method} {_as_documented(rule.rule)}"
        for rule in rules
        for method in rule.methods or ()
        if method not in ("OPTIONS", "HEAD") and (rule.rule != "/" or method == "GET")
    }
    pages = "".join((REFERENCE / page).read_text() for page in ("api.rst", "metadefs.rst"))
    assert set(_HEADING.findall(pages)) == routes


def every_class(root: type[errors.GlancekitError]) -> list[type[errors.GlancekitError]]:
    return [one for kind in root.__subclasses__() for one in (kind, *every_class(kind))]


OURS = {kind.__name__: kind for kind in every_class(errors.GlancekitError)
        if kind.__module__ == errors.__name__}  # fmt: skip
DOCUMENTED = dict(_ERROR_ROW.findall((REFERENCE / "errors.rst").read_text()))


@pytest.mark.parametrize("name", sorted(OURS.keys() | DOCUMENTED.keys()))
def test_every_error_is_told_with_its_status(name: str) -> None:
    assert DOCUMENTED[name] == str(row_for(OURS[name]).status)
