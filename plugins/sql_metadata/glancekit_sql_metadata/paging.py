# SPDX-License-Identifier: Apache-2.0
"""The statements of list pages. Which lists answer a query is lists.py's business.

A statement is built once for each *shape* of a query and kept; the values of a query are its
parameters. There is no OFFSET: a page begins behind the marker's place in the order (its keys).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    exists,
    false,
    literal_column,
    or_,
    select,
    tuple_,
    union,
)

from glancekit.plugin import Comparison, SortKey
from glancekit_sql_metadata.rows import IMAGE_COLUMNS, LOCATION_COLUMNS
from glancekit_sql_metadata.tables import image_lists, image_locations, images

CONDITION_COLUMNS = frozenset(images.c.keys()) - {"properties", "tags", "version"}
"""What a condition may be about."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What two queries have in common that are answered by one statement.

    ``branches``: for each how many other lists it looks into, and whether at the owner.
    ``conditions``: column and comparison. ``order``: the whole of it. ``marker``: for each key of
    the order whether the marker's value is null; None without a marker.
    """

    branches: tuple[tuple[int, bool], ...]
    conditions: tuple[tuple[str, Comparison], ...]
    order: tuple[SortKey, ...]
    marker: tuple[bool, ...] | None
    by_id: bool


def total_order(sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    """Return the order with the keys that make it total."""
    descending = sort[0].descending if len(sort) == 1 else True
    named = {key.column for key in sort}
    ties = (SortKey(column, descending) for column in ("created_at", "id") if column not in named)
    return (*sort, *ties)


@lru_cache(maxsize=512)
def page_statement(shape: Shape) -> Select[Any]:
    """Return the statement of a shape.

    Its parameters: ``limit``; ``list{b}``, ``also{b}_{n}``, ``owner{b}`` of each branch;
    ``value{c}`` of each condition; ``marker{k}`` of each key of the order.
    """
    if _follows_the_lists(shape):
        return _walk(shape)
    return _sorted(shape)


def _follows_the_lists(shape: Shape) -> bool:
    """Say whether the order is that of the lists, or its reverse."""
    columns = [key.column for key in shape.order]
    directions = {key.descending for key in shape.order}
    return columns == ["created_at", "id"] and len(directions) == 1 and not shape.by_id


# -- in the order of the lists: walk each branch for a page, merge, cut ----------------------------


def _walk(shape: Shape) -> Select[Any]:
    branches = [_walked_branch(shape, number) for number in range(len(shape.branches))]
    merged = branches[0] if len(branches) == 1 else union(*branches)
    descending = shape.order[0].descending
    names: list[ColumnElement[Any]] = [literal_column("created_at"), literal_column("image_id")]
    merged = merged.order_by(*_all_one_way(names, descending)).limit(bindparam("limit"))
    page = merged.subquery("page")
    keys = (page.c.created_at, page.c.image_id)
    return _whole_images(page, _all_one_way(keys, descending))


def _all_one_way(keys: Sequence[ColumnElement[Any]], descending: bool) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key in keys]


def _walked_branch(shape: Shape, number: int) -> Select[Any]:
    entry = image_lists.alias(f"entry{number}")
    descending = shape.order[0].descending
    statement = select(entry.c.created_at, entry.c.image_id).where(
        _is_in_branch(shape, number, entry)
    )
    if shape.marker is not None:
        place = tuple_(entry.c.created_at, entry.c.image_id)
        marker = tuple_(bindparam("marker0"), bindparam("marker1"))
        statement = statement.where(place < marker if descending else place > marker)
    order = (entry.c.created_at, entry.c.image_id)
    statement = statement.order_by(*_all_one_way(order, descending))
    # SQLite lets the parts of a UNION have their own LIMIT as subqueries only.
    part = statement.limit(bindparam("limit")).subquery(f"part{number}")
    return select(part.c.created_at, part.c.image_id)


def _is_in_branch(shape: Shape, number: int, entry: FromClause) -> ColumnElement[bool]:
    others, looks_at_owner = shape.branches[number]
    tests: list[ColumnElement[bool]] = [entry.c.list == bindparam(f"list{number}")]
    for other in range(others):
        also = image_lists.alias(f"also{number}_{other}")
        tests.append(
            exists().where(
                also.c.list == bindparam(f"also{number}_{other}"),
                also.c.created_at == entry.c.created_at,
                also.c.image_id == entry.c.image_id,
            )
        )
    about = images.alias(f"image{number}")
    columns = [_condition(about, shape, place) for place in range(len(shape.conditions))]
    if looks_at_owner:
        columns.append(about.c.owner == bindparam(f"owner{number}"))
    if columns:
        tests.append(exists().where(about.c.id == entry.c.image_id, *columns))
    return and_(*tests)


def _condition(about: FromClause, shape: Shape, place: int) -> ColumnElement[bool]:
    name, comparison = shape.conditions[place]
    column: ColumnElement[Any] = about.c[name]
    if comparison is Comparison.IN:
        return column.in_(bindparam(f"value{place}", expanding=True))
    value = bindparam(f"value{place}", type_=column.type)
    match comparison:
        case Comparison.EQ:
            return column == value
        case Comparison.NEQ:
            return column != value
        case Comparison.GT:
            return column > value
        case Comparison.GTE:
            return column >= value
        case Comparison.LT:
            return column < value
        case Comparison.LTE:
            return column <= value


# -- in any other order: all that the lists have, sorted -------------------------------------------


def _sorted(shape: Shape) -> Select[Any]:
    places = []
    for number in range(len(shape.branches)):
        entry = image_lists.alias(f"entry{number}")
        inside = _is_in_branch(shape, number, entry)
        places.append(
            exists().where(
                inside,
                entry.c.created_at == images.c.created_at,
                entry.c.image_id == images.c.id,
            )
            if shape.by_id
            else images.c.id.in_(select(entry.c.image_id).where(inside))
        )
    statement = select(images.c.id).where(or_(*places))
    if shape.by_id:
        conditions = (_condition(images, shape, place) for place in range(len(shape.conditions)))
        statement = statement.where(*conditions)
    if shape.marker is not None:
        statement = statement.where(_behind_marker(shape))
    order = [part for key in shape.order for part in _ordering(images, key)]
    page = statement.order_by(*order).limit(bindparam("limit")).subquery("page")
    return _whole_images(page, order)


def _ordering(table: FromClause, key: SortKey) -> list[ColumnElement[Any]]:
    column: ColumnElement[Any] = table.c[key.column]
    parts = [column.is_(None), column] if images.c[key.column].nullable else [column]
    return _all_one_way(parts, key.descending)


def _behind_marker(shape: Shape) -> ColumnElement[bool]:
    """Say that an image comes after the marker: equal in some leading keys, beyond it in the next."""
    assert shape.marker is not None
    cases = []
    equal: list[ColumnElement[bool]] = []
    for place, (key, is_null) in enumerate(zip(shape.order, shape.marker, strict=True)):
        column = images.c[key.column]
        value = bindparam(f"marker{place}", type_=column.type)
        cases.append(and_(*equal, _beyond(column, value, key.descending, is_null)))
        equal.append(column.is_(None) if is_null else column == value)
    return or_(*cases)


def _beyond(
    column: ColumnElement[Any], value: ColumnElement[Any], descending: bool, is_null: bool
) -> ColumnElement[bool]:
    """Say that a value comes after the marker's, nulls being greater than every value."""
    if is_null:
        return column.is_not(None) if descending else false()
    if descending:
        return column < value
    return or_(column > value, column.is_(None))


# -- the images of a page, whole -------------------------------------------------------------------


def _whole_images(page: FromClause, order: list[ColumnElement[Any]]) -> Select[Any]:
    """Return the images of a page with their locations, in the page's order.

    Outer joins, so that no optimiser begins anywhere but at the page.
    """
    ids = page.c.id if "id" in page.c else page.c.image_id
    joined = page.outerjoin(images, images.c.id == ids).outerjoin(
        image_locations, image_locations.c.image_id == ids
    )
    return (
        select(*IMAGE_COLUMNS, *LOCATION_COLUMNS)
        .select_from(joined)
        .order_by(*order, image_locations.c.id)
    )
