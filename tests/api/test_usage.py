# SPDX-License-Identifier: Apache-2.0
"""What projects took of stores, as administrators ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from glancekit.api.app import create_app
from glancekit.bootstrap import bootstrap, load_config
from glancekit.core.storage_use import BYTE_HOUR, DAY, StorageUse
from glancekit.services.world import World
from glancekit.testing.client import Client, WsgiTransport

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
PROJECTS = ("p:1", "p/2", "ü")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service whose books have three days of three projects in two stores."""
    overrides = {
        ("DEFAULT", "data_dir"): str(tmp_path_factory.mktemp("data")),
        ("auth", "driver"): "trusted",
    }
    with bootstrap(load_config([], overrides)) as world:
        with world.metadata.unit_of_work() as work:
            for day in range(3):
                for number, project in enumerate(PROJECTS):
                    for store in ("fast", "slow"):
                        key = (FIRST + day * DAY, project, store)
                        work.ledger.add(StorageUse.of(key, (day + number + 1) * BYTE_HOUR + 7))
            work.commit()
        yield world


@pytest.fixture
def admin(world: World) -> Client:
    client = Client(WsgiTransport(create_app(world)))
    return client.as_project("ops", roles="admin,member,reader")


def listed(client: Client, query: str = "") -> list[tuple[str, str, str, int]]:
    """Return all entries, page after page."""
    found: list[tuple[str, str, str, int]] = []
    target = f"/v2/usage?{query}"
    while target:
        answer = client.get(target)
        assert answer.status == 200, answer.text
        found += [tuple(entry.values()) for entry in answer.json["usage"]]
        target = answer.json.get("next", "")
    return found


def test_entries_have_day_project_store_and_byte_hours(admin: Client) -> None:
    answer = admin.get("/v2/usage?limit=1")
    assert answer.json["usage"] == [
        {"day": "2026-11-01", "project_id": "p/2", "store": "fast", "byte_hours": 2}
    ]
    assert answer.json["first"] == "/v2/usage?limit=1"
    assert answer.json["next"].startswith("/v2/usage?limit=1&marker=")


@pytest.mark.parametrize("limit", [1, 4, 5, 18, 1000])
def test_pages_have_each_entry_once_and_in_order(admin: Client, limit: int) -> None:
    found = listed(admin, f"limit={limit}")
    assert found == sorted(found)
    assert len({entry[:3] for entry in found}) == len(found) == 18


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("store=fast", 9),
        ("project_id=p/2", 6),
        (f"project_id={quote('ü')}&store=slow", 3),
        ("from=2026-11-02", 12),
        ("to=2026-11-02", 12),
        ("from=2026-11-02&to=2026-11-02", 6),
        ("from=2026-11-03&to=2026-11-01", 0),
        ("store=none", 0),
        ("limit=0", 0),
    ],
)
def test_what_is_chosen(admin: Client, query: str, count: int) -> None:
    separator = "" if "limit" in query else "&limit=2"
    assert len(listed(admin, query + separator)) == count


@pytest.mark.parametrize(
    "query",
    [
        *("from=yesterday", "to=2026-13-01", "from=20261101", "to=9999-12-31", "limit=-1"),
        *("marker=x", "marker=x:y:z", "days=3", "marker=2026-11-01:fast"),
    ],
)
def test_what_makes_no_sense(admin: Client, query: str) -> None:
    assert admin.get(f"/v2/usage?{query}").status == 400


def test_it_is_up_to_date(admin: Client, world: World, tmp_path: Path) -> None:
    image = admin.create_active(b"x" * 1000)
    assert image["status"] == "active"
    with world.metadata.unit_of_work(read_only=True) as work:
        before = len(work.ledger.find(since=FIRST, until=FIRST + timedelta(days=9999), limit=99))
    today = datetime.now(UTC).date().isoformat()
    found = [entry for entry in listed(admin, "project_id=ops") if entry[0] >= today]
    assert len(found) in (1, 2)  # midnight may have passed
    assert before == 18
