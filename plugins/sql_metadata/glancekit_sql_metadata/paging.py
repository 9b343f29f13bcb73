# SPDX-License-Identifier: Apache-2.0
"""The statements of list pages. Which lists answer a query is lists.py's business.

A statement is built once for each *shape* of a query and kept; the values of a query are its
parameters. There is no OFFSET: a page begins behind the marker's place in the order (its keys).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    and_,
    bindparam,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union,
)

from glancekit.plugin import Comparison, SortKey
from glancekit_sql_metadata.rows import IMAGE_COLUMNS, LOCATION_COLUMNS
from glancekit_sql_metadata.tables import (
    image_lists,
    image_locations,
    images,
    shared_images,
)

CONDITION_COLUMNS = frozenset(images.c.keys()) - {"properties", "tags", "version"}
"""What a condition may be about."""


INDEXED = ("name", "updated_at")
"""The columns besides ``created_at`` that have an index in the order of each scope."""


class BranchShape(NamedTuple):
    """A scope's kind, how many other lists it looks into, and whether at the owner."""

    kind: str
    others: int
    looks_at_owner: bool
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What two queries have in common that are answered by one statement.

    ``conditions``: column and comparison. ``order``: the whole of it. ``marker``: for each key of
    the order whether the marker's value is null; None without a marker.
    """

    branches: tuple[BranchShape, ...]
    conditions: tuple[tuple[str, Comparison], ...]
    order: tuple[SortKey, ...]
    compares_rows: bool
    skips_nulls: bool
    marker: tuple[bool, ...] | None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the order."""
        return tuple(key.column for key in self.order)

    @property
    def descending(self) -> bool:
        """The direction of the first key."""
        return self.order[0].descending

    @property
    def names_ids(self) -> bool:
        """Only images with certain ids are asked for, which are few."""
        wanted = (("id", Comparison.EQ), ("id", Comparison.IN))
        return any(condition in wanted for condition in self.conditions)


def total_order(sort: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    """Return the order with the keys that make it total."""
    descending = sort[0].descending if len(sort) == 1 else True
    named = {key.column for key in sort}
    ties = (SortKey(column, descending) for column in ("created_at", "id") if column not in named)
    return (*sort, *ties)


@lru_cache(maxsize=512)
def page_statement(shape: Shape) -> Select[Any]:
    """Return the statement of a shape.

    Its parameters: ``limit``; for each branch ``list{b}``, ``also{b}_{n}``, ``owner{b}``, and its
    scope as ``project{b}``, ``of{b}``, ``hidden{b}``; ``value{c}`` of each condition;
    ``marker{k}`` of each key of the order.
    """
    goes_one_way = len({key.descending for key in shape.order}) == 1
    if goes_one_way and not shape.names_ids:
        if shape.columns == ("created_at", "id"):
            return _walk_lists(shape)
        is_plain = all(branch.is_plain for branch in shape.branches)
        if is_plain and shape.columns in [(name, "created_at", "id") for name in INDEXED]:
            return _walk_indexes(shape)
    return _sort_all(shape)


COUNTED = 100
"""How far lists are counted to find the shortest; walking so many entries is still quick."""


@lru_cache(maxsize=64)
def lengths_statement(lists: int) -> Select[Any]:
    """Return the statement that says how long lists ``list{n}`` are, up to ``COUNTED``."""
    counts = []
    for number in range(lists):
        entries = select(image_lists.c.list).where(
            image_lists.c.list == bindparam(f"list{number}")
        )
        some = entries.limit(literal_column(str(COUNTED))).subquery(f"part{number}")
        counts.append(select(func.count()).select_from(some).scalar_subquery())
    return select(*counts)


# -- in the order of the lists: walk each branch for a page, merge, cut ---------------------------


def _walk_lists(shape: Shape) -> Select[Any]:
    branches = [_walked_branch(shape, number) for number in range(len(shape.branches))]
    merged = branches[0] if len(branches) == 1 else union(*branches)
    names: list[ColumnElement[Any]] = [literal_column("created_at"), literal_column("image_id")]
    merged = merged.order_by(*_all_one_way(names, shape.descending)).limit(bindparam("limit"))
    page = merged.subquery("page")
    keys = (page.c.created_at, page.c.image_id)
    return _whole_images(page, _all_one_way(keys, shape.descending))


def _all_one_way(keys: Sequence[ColumnElement[Any]], descending: bool) -> list[ColumnElement[Any]]:
    return [key.desc() if descending else key for key in keys]


def _walked_branch(shape: Shape, number: int) -> Select[Any]:
    entry = image_lists.alias(f"entry{number}")
    statement = select(entry.c.created_at, entry.c.image_id).where(
        _is_in_branch(shape, number, entry)
    )
    if shape.marker is not None:
        keys = (entry.c.created_at, entry.c.image_id)
        marks = [bindparam(f"marker{place}", type_=key.type) for place, key in enumerate(keys)]
        statement = statement.where(_behind(shape, keys, marks))
    order = (entry.c.created_at, entry.c.image_id)
    statement = statement.order_by(*_all_one_way(order, shape.descending))
    # SQLite lets the parts of a UNION have their own LIMIT as subqueries only.
    part = statement.limit(bindparam("limit")).subquery(f"part{number}")
    return select(part.c.created_at, part.c.image_id)


def _behind(
    shape: Shape, keys: Sequence[ColumnElement[Any]], marks: Sequence[Any]
) -> ColumnElement[bool]:
    """Say that not null keys come after the marks, in a way that is a range of an index."""
    if shape.compares_rows:
        here, there = tuple_(*keys), tuple_(*marks)
        return here < there if shape.descending else here > there
    cases = []
    for last, (key, mark) in enumerate(zip(keys, marks, strict=True)):
        equal = [keys[place] == marks[place] for place in range(last)]
        cases.append(and_(*equal, key < mark if shape.descending else key > mark))
    return or_(*cases)


def _is_in_branch(shape: Shape, number: int, entry: FromClause) -> ColumnElement[bool]:
    branch = shape.branches[number]
    tests: list[ColumnElement[bool]] = [entry.c.list == bindparam(f"list{number}")]
    for other in range(branch.others):
        also = image_lists.alias(f"also{number}_{other}")
        tests.append(
            _there_is(
                also.c.list == bindparam(f"also{number}_{other}"),
                also.c.created_at == entry.c.created_at,
                also.c.image_id == entry.c.image_id,
            )
        )
    about = images.alias(f"image{number}")
    if columns := _columns_tests(shape, number, about):
        tests.append(_there_is(about.c.id == entry.c.image_id, *columns))
    return and_(*tests)


def _columns_tests(shape: Shape, number: int, about: FromClause) -> list[ColumnElement[bool]]:
    """Return what a branch asks of an image's own columns."""
    tests = [_condition(about, shape, place) for place in range(len(shape.conditions))]
    if shape.branches[number].looks_at_owner:
        tests.append(about.c.owner == bindparam(f"owner{number}"))
    return tests


def _there_is(*conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Say that there is a row with a primary key and more.

    As a value, not as EXISTS: that invites a server to begin with what was to be looked up.
    """
    return select(literal_column("1")).where(*conditions).scalar_subquery().is_not(None)


def _condition(about: FromClause, shape: Shape, place: int) -> ColumnElement[bool]:
    name, comparison = shape.conditions[place]
    column: ColumnElement[Any] = about.c[name]
    if comparison is Comparison.IN:
        return column.in_(bindparam(f"value{place}", expanding=True))
    # A number is compared as one of 64 bits whatever its column has, as it may be beyond that.
    kind = BigInteger() if isinstance(column.type, Integer) else column.type
    value = bindparam(f"value{place}", type_=kind)
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


# -- by name or updated_at: the same, each branch in the order of an index of its scope -----------


def _walk_indexes(shape: Shape) -> Select[Any]:
    parts = []
    for number, branch in enumerate(shape.branches):
        table = shared_images if branch.kind == "member" else images
        columns = [_column(table, name) for name in shape.columns]
        named = [column.label(name) for column, name in zip(columns, shape.columns, strict=True)]
        whole = select(*named).where(*_is_in_scope(shape, number))
        whole = _walking(whole, table, branch.kind, shape.columns[0])
        parts += [
            whole.where(within).order_by(*order) for within, order in _ranges(shape, columns)
        ]
    tables = [
        part.limit(bindparam("limit")).subquery(f"part{number}")
        for number, part in enumerate(parts)
    ]
    merged = union(*(select(*table.c) for table in tables)).subquery("merged")
    order = [part for key in shape.order for part in _ordering(merged, key)]
    page = select(merged).order_by(*order).limit(bindparam("limit")).subquery("page")
    return _whole_images(page, [part for key in shape.order for part in _ordering(page, key)])


def _column(table: Table, name: str) -> ColumnElement[Any]:
    """Return the column that has an image's ``name`` in a table of images or of what is shared."""
    return table.c[name] if name in table.c else table.c["image_id"]


def _walking(statement: Select[Any], table: Table, kind: str, column: str) -> Select[Any]:
    """Name the index to MariaDB and MySQL, which take a wider one for lists in which all is."""
    scope = {
        "all": ["visibility", "os_hidden"],
        "owner": ["owner", "visibility", "os_hidden"],
        "member": ["project_id", "status", "os_hidden"],
    }[kind]
    wanted = [*scope, column, "created_at", _column(table, "id").key]
    name = next(index.name for index in table.indexes if [*index.columns.keys()] == wanted)
    for dialect in ("mysql", "mariadb"):
        statement = statement.with_hint(table, f"FORCE INDEX ({name})", dialect)
    return statement


def _is_in_scope(shape: Shape, number: int) -> list[ColumnElement[bool]]:
    """Return what an index is asked for, and what is looked up for each entry of it."""
    branch = shape.branches[number]
    project: ColumnElement[str] = bindparam(f"project{number}")
    of: ColumnElement[str] = bindparam(f"of{number}")
    hidden: ColumnElement[bool] = bindparam(f"hidden{number}")
    if branch.kind == "member":
        shared = shared_images.c
        tests = [shared.project_id == project, shared.status == of, shared.os_hidden == hidden]
        about = images.alias(f"image{number}")
        if looked_up := _columns_tests(shape, number, about):
            tests.append(_there_is(about.c.id == shared.image_id, *looked_up))
        return tests
    tests = [images.c.visibility == of, images.c.os_hidden == hidden]
    if branch.kind == "owner":
        tests.append(images.c.owner == project)
    return tests + _columns_tests(shape, number, images)


def _ranges(
    shape: Shape, columns: Sequence[ColumnElement[Any]]
) -> list[tuple[ColumnElement[bool], list[ColumnElement[Any]]]]:
    """Return the ranges of an index behind the marker, each with its order.

    An index may have its nulls before all values; the API wants them after. So nulls are a range
    of their own.
    """
    values = [
        bindparam(f"marker{place}", type_=column.type) for place, column in enumerate(columns)
    ]
    first, others = columns[0], columns[1:]
    has_nulls = images.c[shape.columns[0]].nullable

    of_values: ColumnElement[bool] = first.is_not(None) if has_nulls else true()
    of_nulls: ColumnElement[bool] = first.is_(None)
    wants_values = wants_nulls = True
    if shape.marker is not None and shape.marker[0]:
        of_nulls = and_(of_nulls, _behind(shape, others, values[1:]))
        wants_values = shape.descending
    elif shape.marker is not None:
        of_values = _behind(shape, columns, values)
        wants_nulls = not shape.descending
    ranges = []
    if wants_values:
        ranges.append((of_values, _all_one_way(columns, shape.descending)))
    if wants_nulls and has_nulls:
        keys = others if shape.skips_nulls else columns
        ranges.append((of_nulls, _all_one_way(keys, shape.descending)))
    return ranges


# -- in any other order: all that the lists have, sorted ------------------------------------------


def _sort_all(shape: Shape) -> Select[Any]:
    within = _has_id_and_is_listed if shape.names_ids else _is_listed
    statement = select(images.c.id).where(within(shape))
    if shape.marker is not None:
        statement = statement.where(_behind_marker(shape))
    order = [part for key in shape.order for part in _ordering(images, key)]
    page = statement.order_by(*order).limit(bindparam("limit")).subquery("page")
    return _whole_images(page, order)


def _is_listed(shape: Shape) -> ColumnElement[bool]:
    """Say that an image is in a branch, so that the lists are read and images looked up."""
    parts = []
    for number in range(len(shape.branches)):
        entry = image_lists.alias(f"entry{number}")
        parts.append(select(entry.c.image_id).where(_is_in_branch(shape, number, entry)))
    return images.c.id.in_(union(*parts))


def _has_id_and_is_listed(shape: Shape) -> ColumnElement[bool]:
    """Say that an image has one of the ids, so that these are read and looked up in the lists."""
    places = []
    for number in range(len(shape.branches)):
        entry = image_lists.alias(f"entry{number}")
        places.append(
            _there_is(
                _is_in_branch(shape, number, entry),
                entry.c.created_at == images.c.created_at,
                entry.c.image_id == images.c.id,
            )
        )
    conditions = (_condition(images, shape, place) for place in range(len(shape.conditions)))
    return and_(or_(*places), *conditions)


def _ordering(table: FromClause, key: SortKey) -> list[ColumnElement[Any]]:
    column: ColumnElement[Any] = table.c[key.column]
    parts = [column.is_(None), column] if images.c[key.column].nullable else [column]
    return _all_one_way(parts, key.descending)


def _behind_marker(shape: Shape) -> ColumnElement[bool]:
    """Say that an image is behind the marker: equal in some leading keys, beyond in the next."""
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


# -- the images of a page, whole ------------------------------------------------------------------


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
