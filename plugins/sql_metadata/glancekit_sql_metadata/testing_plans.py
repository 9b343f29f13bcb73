# SPDX-License-Identifier: Apache-2.0
"""Lists and images with which tests find out that a page costs the same in any database.

How cost is counted is each dialect's own business. No running service imports it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert

from glancekit.plugin import (
    DAY,
    Comparison,
    Condition,
    Event,
    Finding,
    Image,
    ImageQuery,
    ImageStatus,
    Location,
    LocationStatus,
    Member,
    MemberStatus,
    SortKey,
    TaskType,
    UnitOfWork,
    Viewer,
    Visibility,
)
from glancekit_sql_metadata import lists, rows
from glancekit_sql_metadata.server import ServerMetadata
from glancekit_sql_metadata.tables import (
    image_lists,
    image_locations,
    storage_accounts,
    storage_use,
)
from glancekit_sql_metadata.tables import images as image_table
from glancekit_sql_metadata.testing_fixtures import Backend
from glancekit_sql_metadata.testing_server import RealDatabase

FEW = 20
"""How many images belong to what is rare."""

SIZE = 3000
"""How many images a server's database has: much more than a page, quick to fill."""

MOST_READ, MOST_SORTED = 800, 300
"""Rows that a page of 25, merged of five or ten lists, may read and sort."""

ADMIN = Viewer(project_id="operators", is_admin=True)
MANY, RARE, ORDINARY = (Viewer(project_id=name) for name in ("many", "few", "ordinary"))
BEFRIENDED = Viewer(project_id="befriended")
"""With whom nearly every shared image was shared, and who accepted it."""

_QUERIES: dict[str, dict[str, Any]] = {
    "": {},
    ", common tag": {"tags": frozenset({"common"})},
    ", rare tag": {"tags": frozenset({"rare"})},
    ", common property": {"properties": {"os": "linux"}},
    ", rare property": {"properties": {"rare": "yes"}},
    ", common name": {"conditions": (Condition("name", Comparison.EQ, "common"),)},
    ", rare name": {"conditions": (Condition("name", Comparison.EQ, "rare"),)},
    ", queued": {"conditions": (Condition("status", Comparison.EQ, "queued"),)},
    ", status": {"conditions": (Condition("status", Comparison.EQ, "active"),)},
    ", oldest first": {"sort": (SortKey("created_at", False),)},
    ", by name": {"sort": (SortKey("name", False),)},
    ", by name, last first": {"sort": (SortKey("name", True),)},
    ", by update": {"sort": (SortKey("updated_at"),)},
    ", ids": {"conditions": (Condition("id", Comparison.IN, (str(uuid.UUID(int=3)),)),)},
    ", ids by size": {
        "conditions": (Condition("id", Comparison.EQ, str(uuid.UUID(int=3))),),
        "sort": (SortKey("size"),),
    },
}

_VIEWERS = {
    "admin": ADMIN,
    "many": MANY,
    "few": RARE,
    "ordinary": ORDINARY,
    "befriended": BEFRIENDED,
}

CASES = {
    f"{who}{what}": ImageQuery(viewer=viewer, **query)
    for who, viewer in _VIEWERS.items()
    for what, query in _QUERIES.items()
}
"""List pages by who asks for what."""


def images(count: int) -> Iterator[Image]:
    """Yield images of which every tenth is public; what is rare is as frequent in any number."""
    for number in range(count):
        rare = number % (count // FEW) == 0
        at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        yield Image(
            id=str(uuid.UUID(int=number)),
            owner="few" if rare else "many",
            status=ImageStatus.QUEUED if rare else ImageStatus.ACTIVE,
            visibility=Visibility.PUBLIC if number % 10 < 2 else Visibility.SHARED,
            name=(None, "rare" if rare else "common", "common")[number % 3],
            created_at=at,
            updated_at=at + timedelta(seconds=number * 7919 % 1000),
            properties={"os": "linux"} | ({"rare": "yes"} if rare else {}),
            tags=frozenset({"common", "rare"} if rare else {"common"}),
        )


@dataclass(frozen=True, slots=True)
class Cost:
    """What one statement did: the tables it read from end to end, rows it read and sorted."""

    scanned: Sequence[str]
    read: int
    sorted: int


CostOf = Callable[[Connection, str, Any], Cost]


def from_the_middle(query: ImageQuery, size: int) -> ImageQuery:
    """Return the query of a page behind a public image from the middle."""
    return replace(query, marker=str(uuid.UUID(int=size // 20 * 10)))


def fill(driver: ServerMetadata) -> None:
    """Put ``SIZE`` images into an empty database, past the repositories, and count them."""
    made = list(images(SIZE))
    values = [rows.image_values(image) for image in made]
    entries = [
        {"list": name, "created_at": row["created_at"], "image_id": row["id"]}
        for image, row in zip(made, values, strict=True)
        for name in _lists_of(image)
    ]
    locations = [
        {"image_id": image.id, "store": "s", "url": "u", "metadata": "{}", "status": "active"}
        for image in made
    ]
    with driver._mine().outside_transaction() as connection:
        connection.execute(insert(image_table), values)
        connection.execute(insert(image_lists), entries)
        connection.execute(insert(image_locations), locations)
        connection.execute(insert(storage_use), _uses())
        connection.execute(insert(storage_accounts), _accounts())
    with driver.unit_of_work() as work:
        share(work, made)
        work.quotas.recount("many")
        for image in made:
            work.events.append(Event(type="image.create", subject=image.id))
        work.commit()


def share(work: UnitOfWork, made: Sequence[Image]) -> None:
    """Share a few images with one project, and all that can be with another; both accepted."""
    shared = [image for image in made if image.visibility is Visibility.SHARED]
    for viewer, some in ((ORDINARY, shared[:FEW]), (BEFRIENDED, shared)):
        for image in some:
            member = Member(
                image_id=image.id,
                project_id=viewer.project_id or "",
                status=MemberStatus.ACCEPTED,
            )
            work.members.add(member)


def _uses() -> list[dict[str, Any]]:
    """Return what thirty projects took on a hundred days."""
    return [
        {
            "day": rows.to_time(_FIRST_DAY + number // 30 * DAY),
            "project_id": f"p{number % 30}",
            "store": "s",
            "byte_hours": 1,
            "rest": 0,
        }
        for number in range(SIZE)
    ]


def _accounts() -> list[dict[str, Any]]:
    now = rows.to_time(datetime.now(UTC))
    return [
        {"project_id": f"p{number}", "store": "s", "amount": 1, "at": now - number}
        for number in range(SIZE)
    ]


def _lists_of(image: Image) -> set[bytes]:
    return lists.lists_with(
        lists.scopes_of(image.owner, image.visibility.value, image.os_hidden),
        lists.labels_of(image.status.value, image.name, image.properties, image.tags),
    )


class PlanConformance:
    """The plans of the hot paths, in a filled database of a real server.

    The subclass gives a fixture ``cost_of``, which runs a statement.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, backend: Backend, server: RealDatabase) -> Iterator[ServerMetadata]:
        """A driver over a filled database."""
        name = f"plans_{uuid.uuid4().hex}"
        with closing(backend.driver_over(server.make_database(name))) as driver:
            driver.start()
            fill(driver)
            server.analyse(name)
            yield driver
        server.drop_database(name)

    @pytest.mark.parametrize("case", CASES)
    def test_a_page_reads_and_sorts_little(
        self, filled: ServerMetadata, cost_of: CostOf, case: str
    ) -> None:
        """Its first and one from the middle: no table is scanned, no list sorted."""
        for query in (CASES[case], from_the_middle(CASES[case], SIZE)):

            def find(work: UnitOfWork, query: ImageQuery = query) -> None:
                work.images.find(query)

            _assert_cheap(filled, cost_of, find)

    @pytest.mark.parametrize(
        "deed", ["show", "members", "usage", "reserve", "work", "walk", "ledger", "settle"]
    )
    def test_what_else_is_asked_often_reads_little(
        self, filled: ServerMetadata, cost_of: CostOf, deed: str
    ) -> None:
        """An image, its members, usage, what background work looks for and goes through."""
        _assert_cheap(filled, cost_of, _DEEDS[deed])


def _reserve(work: UnitOfWork) -> None:
    copy = Location(url="", image_id=_SOME, store="b", status=LocationStatus.WRITING, holder="h")
    work.quotas.reserve(work.locations.add(copy), 1)
    work.quotas.usage("many")


def _background(work: UnitOfWork) -> None:
    work.locations.with_status(LocationStatus.PENDING_DELETE, limit=25)
    work.locations.due("s", before=datetime.now(UTC), limit=25)
    work.locations.found(Finding.BAD, limit=25)
    work.tasks.unfinished(TaskType.IMPORT, limit=25)
    work.tasks.of_image(_SOME)
    last = work.events.last_position()
    work.events.after(last - 10, limit=25)


def _walk(work: UnitOfWork) -> None:
    work.images.walk(limit=25)
    work.images.walk(limit=25, after=_SOME)
    work.locations.walk(limit=25)
    work.locations.walk(limit=25, after=SIZE // 2)
    work.locations.of_images({_SOME, str(uuid.UUID(int=3))})
    work.marks.get("mark")


def _look_up_use(work: UnitOfWork) -> None:
    since, until = _FIRST_DAY + DAY, _FIRST_DAY + 200 * DAY
    (*_, last) = work.ledger.find(since=since, until=until, limit=25)
    work.ledger.find(since=since, until=until, after=last, limit=25)
    work.ledger.find(since=since, until=until, project_id="p7", limit=25)
    work.ledger.find(since=since, until=until, project_id="p7", store="s", after=last, limit=25)


def _settle(work: UnitOfWork) -> None:
    work.ledger.settle(datetime.now(UTC) + DAY, limit=25)
    work.ledger.settle(datetime.now(UTC) + DAY, limit=25)


_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)


_SOME = str(uuid.UUID(int=SIZE // 2))

_DEEDS: dict[str, Callable[[UnitOfWork], object]] = {
    "show": lambda work: work.images.get(_SOME, viewer=ORDINARY),
    "members": lambda work: work.members.of_image(_SOME),
    "usage": lambda work: work.quotas.usage("many"),
    "reserve": _reserve,
    "work": _background,
    "walk": _walk,
    "ledger": _look_up_use,
    "settle": _settle,
}


def _assert_cheap(
    driver: ServerMetadata, cost_of: CostOf, deed: Callable[[UnitOfWork], object]
) -> None:
    asked = _asked(driver, deed)
    assert asked
    with driver._mine().outside_transaction() as connection:
        for statement, parameters in asked:
            cost = cost_of(connection, statement, parameters)
            facts = (cost, statement)
            assert not cost.scanned, facts
            assert cost.read <= MOST_READ, facts
            assert cost.sorted <= MOST_SORTED, facts


def _asked(driver: ServerMetadata, deed: Callable[[UnitOfWork], object]) -> list[tuple[str, Any]]:
    """Return the queries that a deed asks; what it changes is rolled back."""
    asked: list[tuple[str, Any]] = []

    def note(
        connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    engine = driver._mine()._engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        with driver.unit_of_work() as work:
            deed(work)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return asked
