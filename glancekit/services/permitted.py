# SPDX-License-Identifier: Apache-2.0
"""Pages of a list of which an operator's rule permits some things and others not.

Where the defaults hold, the metadata driver's query decides and nothing here is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

READ_AHEAD = 100
"""Things that are read at once, at least: a rule may permit few of them."""

T = TypeVar("T")


def fill_page(
    limit: int | None,
    read: Callable[[T | None], tuple[Sequence[T], bool]],
    permits: Callable[[T], bool],
) -> tuple[tuple[T, ...], bool]:
    """Read on until there is a page of permitted things, or all is read.

    Return the page, and whether there is more that is permitted.

    :param limit: things on a page, None for all there are.
    :param read: returns what comes behind a thing (None: the beginning), and if there is more.
    """
    found: list[T] = []
    last: T | None = None
    more = limit != 0
    while more and (limit is None or len(found) <= limit):
        things, more = read(last)
        found += [thing for thing in things if permits(thing)]
        last = things[-1] if things else None
    if limit is None:
        return tuple(found), False
    return tuple(found[:limit]), len(found) > limit
