# SPDX-License-Identifier: Apache-2.0
"""Links carry every parameter unharmed, whatever characters are in it."""

from __future__ import annotations

from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from glancekit.api.paging import first_link, next_link, parse_query

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PARAMS = st.lists(st.tuples(TEXT.filter(lambda name: name != "marker"), TEXT), max_size=8)


@given(PARAMS, TEXT)
def test_a_link_means_what_was_asked(params: list[tuple[str, str]], marker: str) -> None:
    path, _, query = next_link("/v2/images", params, marker).partition("?")
    assert path == "/v2/images"
    assert parse_query(query) == [*params, ("marker", marker)]


@given(PARAMS)
def test_what_is_sent_is_what_is_read(params: list[tuple[str, str]]) -> None:
    assert parse_query(urlencode(params)) == params


def test_the_marker_of_this_page_is_dropped() -> None:
    params = [("limit", "2"), ("marker", "old"), ("tag", "a"), ("tag", "b")]
    assert first_link("/v2/images", params) == "/v2/images?limit=2&tag=a&tag=b"
    assert next_link("/v2/images", params, "new").endswith("limit=2&tag=a&tag=b&marker=new")


def test_a_link_without_parameters_has_no_question_mark() -> None:
    assert first_link("/v2/images", [("marker", "old")]) == "/v2/images"
