# SPDX-License-Identifier: Apache-2.0
"""A page costs the same in small and large databases, counted in steps of SQLite's machine."""

from __future__ import annotations

import itertools
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from glancekit_sql_metadata.testing_plans import (
    ADMIN,
    CASES,
    FEW,
    MANY,
    ORDINARY,
    RARE,
    from_the_middle,
    images,
    share,
)
from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import (
    Finding,
    ImageQuery,
    SortKey,
    Viewer,
    Visibility,
)

SMALL, LARGE = 200, 3000
_SCAN_OF_TABLE = re.compile(r"SCAN (?!page|merged|part|\(|CONSTANT)")
"""What is left are the results of subqueries, each cut to a page."""

STEPS = 10
"""A count is so many steps of the machine, the finest that is quick."""


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[SqliteMetadata]]:
    folder = tmp_path_factory.mktemp("cost")
    drivers = [filled(folder / f"{size}.sqlite", size) for size in (SMALL, LARGE)]
    yield drivers
    for driver in drivers:
        driver.close()


def filled(path: Path, size: int) -> SqliteMetadata:
    driver = SqliteMetadata(SimpleNamespace(path=str(path), busy_timeout=30), name="sqlite")
    driver.start()
    made = list(images(size))
    with driver.unit_of_work() as work:
        for image in made:
            work.images.add(image)
        share(work, made)
        work.commit()
    return driver


@contextmanager
def reading_connection(driver: SqliteMetadata) -> Iterator[sqlite3.Connection]:
    """Lend the connection in which the next read-only unit of work will run."""
    connections = driver._mine()
    connection = connections.begin(read_only=True)
    connections.end(connection, read_only=True, committed=False)
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    yield raw


def find(driver: SqliteMetadata, query: ImageQuery) -> int:
    with driver.unit_of_work(read_only=True) as work:
        return len(work.images.find(query).images)


def steps(driver: SqliteMetadata, query: ImageQuery) -> int:
    find(driver, query)
    taken = itertools.count()
    with reading_connection(driver) as connection:
        connection.set_progress_handler(lambda: next(taken) < 0, STEPS)
        try:
            find(driver, query)
        finally:
            connection.set_progress_handler(None, 0)
    return next(taken) * STEPS


@pytest.mark.parametrize("case", CASES)
def test_a_page_takes_as_many_steps_however_many_images_there_are(
    databases: list[SqliteMetadata], case: str
) -> None:
    small, large = databases
    query = CASES[case]
    assert steps(large, query) <= 1.3 * steps(small, query) + 200
    in_small, in_large = from_the_middle(query, SMALL), from_the_middle(query, LARGE)
    # Behind the middle of the small one there may be less than a page, so that it is no measure.
    most = max(steps(small, in_small), steps(small, query))
    assert steps(large, in_large) <= 1.5 * most + 200


def test_sorting_a_short_list_looks_at_that_list_only(databases: list[SqliteMetadata]) -> None:
    by_size = (SortKey("size"),)
    query = ImageQuery(viewer=ORDINARY, visibility=Visibility.SHARED, sort=by_size)
    assert find(databases[1], query) == FEW
    assert steps(databases[1], query) <= 1.3 * steps(databases[0], query) + 200


@pytest.mark.parametrize("viewer", [ADMIN, MANY, RARE, ORDINARY])
def test_of_several_filters_the_rarest_is_walked(
    databases: list[SqliteMetadata], viewer: Viewer
) -> None:
    tags, properties = frozenset({"common", "rare"}), {"os": "linux", "rare": "yes"}
    rare = ImageQuery(viewer=viewer, tags=tags, properties=properties)
    common = replace(rare, tags=frozenset({"common"}), properties={"os": "linux"})
    counting = 2000
    for query in (rare, common):
        assert steps(databases[1], query) <= 1.3 * steps(databases[0], query) + counting


@pytest.mark.parametrize("case", CASES)
def test_no_table_is_scanned(databases: list[SqliteMetadata], case: str) -> None:
    driver = databases[1]
    statements: list[str] = []
    with reading_connection(driver) as connection:
        connection.set_trace_callback(statements.append)
        find(driver, from_the_middle(CASES[case], LARGE))
        connection.set_trace_callback(None)
        selects = [text for text in statements if text.startswith("SELECT")]
        # The marker, the page, and how long the lists are where there is a choice.
        assert len(selects) in (2, 3)
        for select in selects:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select}")]
            scans = [
                line for line in plan if re.match(r"SCAN (?!page|merged|part|\(|CONST)", line)
            ]
            assert scans == [], plan


def test_audits_find_their_copies_by_an_index(driver: SqliteMetadata) -> None:
    """Neither is a table scanned nor anything sorted: the same at ten copies and at a million."""
    statements: list[str] = []
    with reading_connection(driver) as connection:
        connection.set_trace_callback(statements.append)
        with driver.unit_of_work(read_only=True) as work:
            work.locations.due("s", before=datetime.now(UTC), limit=5)
            work.locations.found(Finding.BAD, limit=5)
        connection.set_trace_callback(None)
        selects = [text for text in statements if text.startswith("SELECT")]
        assert len(selects) == 2
        for select in selects:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {select}")]
            assert plan[0].startswith("SEARCH image_locations USING INDEX ix_"), plan
            assert not any("B-TREE" in line for line in plan), plan


def test_an_image_is_one_statement(driver: SqliteMetadata) -> None:
    image = next(images(FEW))
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    statements: list[str] = []
    with reading_connection(driver) as connection:
        connection.set_trace_callback(statements.append)
        with driver.unit_of_work(read_only=True) as work:
            work.images.get(image.id, viewer=MANY)
        connection.set_trace_callback(None)
    assert len([text for text in statements if text.startswith("SELECT")]) == 1
