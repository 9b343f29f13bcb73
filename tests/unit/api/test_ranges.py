# SPDX-License-Identifier: Apache-2.0
"""Range headers, the usual and the legacy one, become ranges of the model."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import BadRequest

from glancekit.api.ranges import content_range, wanted_range
from glancekit.core.errors import RangeUnsatisfiable
from glancekit.core.model.changes import ByteRange


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTP_RANGE": "bytes=0-9"}, ByteRange(0, 9)),
        ({"HTTP_RANGE": "bytes=5-"}, ByteRange(5, None)),
        ({"HTTP_RANGE": "bytes=-5"}, ByteRange(None, 5)),
        ({"HTTP_RANGE": "Bytes = 1-1"}, ByteRange(1, 1)),
        ({"HTTP_CONTENT_RANGE": "bytes 0-9/100"}, ByteRange(0, 9)),
        ({"HTTP_CONTENT_RANGE": "bytes 0-9/*"}, ByteRange(0, 9)),
    ],
)
def test_ranges(environ: dict[str, str], expected: ByteRange | None) -> None:
    assert wanted_range(environ) == expected


@pytest.mark.parametrize(
    "text",
    ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-5", "lines=0-5", "bytes=--5",
     "bytes=0-" + "9" * 5000, "bytes=\u0661-\u0662"],
)  # fmt: skip
def test_what_cannot_be_understood_cannot_be_satisfied(text: str) -> None:
    with pytest.raises(RangeUnsatisfiable):
        wanted_range({"HTTP_RANGE": text})


@pytest.mark.parametrize("text", ["", "bytes */100", "bytes 9-5/100", "bytes 0-/100", "x"])
def test_the_legacy_header_too(text: str) -> None:
    with pytest.raises(RangeUnsatisfiable):
        wanted_range({"HTTP_CONTENT_RANGE": text})


def test_several_ranges_are_refused() -> None:
    with pytest.raises(BadRequest):
        wanted_range({"HTTP_RANGE": "bytes=0-1,5-6"})


def test_an_answer_says_which_bytes_it_has() -> None:
    assert content_range(10, 5, 100) == "bytes 10-14/100"
