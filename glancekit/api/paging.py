# SPDX-License-Identifier: Apache-2.0
"""Query strings, limits and links between pages. What is on a page is the resources' business."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode

from werkzeug.exceptions import BadRequest

Params = Sequence[tuple[str, str]]

_MAX_PARAMS = 100
"""Parameters of one query: each is a condition, and many make a statement that is slow to plan."""

_MAX_DIGITS = 18


def parse_query(query_string: str) -> list[tuple[str, str]]:
    """Return a query's parameters in their order, decoded strictly."""
    if not query_string:
        return []
    try:
        params = parse_qsl(
            query_string.encode("latin-1").decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMS,
        )
    except ValueError as error:  # UnicodeDecodeError among them
        raise BadRequest(f"The query cannot be read: {error}") from error
    if any("\0" in name or "\0" in value for name, value in params):
        raise BadRequest("The query has a NUL character in it.")
    return params


def page_limit(text: str | None, *, default: int, maximum: int) -> int:
    """Return how many things a page may have."""
    if text is None:
        return min(default, maximum)
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal()):
        raise BadRequest(f"limit must be an integer that is not negative, not '{text[:40]}'.")
    return maximum if len(digits) > _MAX_DIGITS else min(int(digits), maximum)


def first_link(path: str, params: Params) -> str:
    """Return the link to the first page of a list."""
    return _link(path, [(name, value) for name, value in params if name != "marker"])


def next_link(path: str, params: Params, marker: str) -> str:
    """Return the link to the page behind ``marker``, everything else as in this one."""
    kept = [(name, value) for name, value in params if name != "marker"]
    return _link(path, [*kept, ("marker", marker)])


def _link(path: str, params: Params) -> str:
    return f"{path}?{urlencode(params)}" if params else path
