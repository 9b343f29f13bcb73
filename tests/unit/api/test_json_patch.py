# SPDX-License-Identifier: Apache-2.0
"""Both patch formats become operations; everything else is a 400 or a 415."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.exceptions import BadRequest

from glancekit.api.json_patch import (
    ACCEPT_PATCH,
    MEDIA_TYPE_V20,
    MEDIA_TYPE_V21,
    Operation,
    UnsupportedPatch,
    parse,
    require_patch_type,
)
from glancekit.core.model.changes import Op


def test_the_newer_format() -> None:
    patch = [
        {"op": "add", "path": "/a", "value": "1"},
        {"op": "replace", "path": "/b", "value": None},
        {"op": "remove", "path": "/c"},
    ]
    assert parse(patch, MEDIA_TYPE_V21) == [
        Operation(Op.ADD, ("a",), "1"),
        Operation(Op.REPLACE, ("b",), None),
        Operation(Op.REMOVE, ("c",)),
    ]


def test_add_of_the_older_format_does_not_overwrite() -> None:
    patch = [{"add": "/a", "value": "1"}, {"replace": "/b", "value": "2"}, {"remove": "/c"}]
    assert parse(patch, MEDIA_TYPE_V20) == [
        Operation(Op.CREATE, ("a",), "1"),
        Operation(Op.REPLACE, ("b",), "2"),
        Operation(Op.REMOVE, ("c",)),
    ]


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/a~1b", ("a/b",)),
        ("/a~0b", ("a~b",)),
        ("/a~01b", ("a~1b",)),
        ("/ a ", ("a",)),
        ("/locations", ("locations",)),
        ("/locations/-", ("locations", "-")),
        ("/locations/0", ("locations", "0")),
    ],
)
def test_pointers(path: str, segments: tuple[str, ...]) -> None:
    (operation,) = parse([{"op": "remove", "path": path}], MEDIA_TYPE_V21)
    assert operation.path == segments


@pytest.mark.parametrize(
    "path",
    ["", "a", "/", "/a/", "//a", "/a//b", "/tags/-", "/a/b", "/a~2b", "/a~", "/ ", 5, None,
     "/locations/0/url"],
)  # fmt: skip
def test_bad_pointers(path: Any) -> None:
    with pytest.raises(BadRequest):
        parse([{"op": "remove", "path": path}], MEDIA_TYPE_V21)


@pytest.mark.parametrize(
    ("patch", "media_type"),
    [
        ({}, MEDIA_TYPE_V21),
        ("x", MEDIA_TYPE_V21),
        ([1], MEDIA_TYPE_V21),
        ([[]], MEDIA_TYPE_V20),
        ([{"op": "test", "path": "/a", "value": "1"}], MEDIA_TYPE_V21),
        ([{"op": "move", "path": "/a", "from": "/b"}], MEDIA_TYPE_V21),
        ([{"op": ["add"], "path": "/a", "value": "1"}], MEDIA_TYPE_V21),
        ([{"op": "add", "path": "/a"}], MEDIA_TYPE_V21),
        ([{"path": "/a", "value": "1"}], MEDIA_TYPE_V21),
        ([{"add": "/a"}], MEDIA_TYPE_V20),
        ([{"add": "/a", "remove": "/b", "value": "1"}], MEDIA_TYPE_V20),
        ([{"op": "add", "path": "/a", "value": "1"}], MEDIA_TYPE_V20),
    ],
)
def test_what_is_no_patch_is_refused(patch: Any, media_type: str) -> None:
    with pytest.raises(BadRequest):
        parse(patch, media_type)


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "application/json", ""])
def test_other_media_types_are_told_which_there_are(media_type: str) -> None:
    with pytest.raises(UnsupportedPatch) as caught:
        require_patch_type(media_type)
    assert dict(caught.value.get_headers())["Accept-Patch"] == ACCEPT_PATCH
