# SPDX-License-Identifier: Apache-2.0
"""``glancekit usage``: days and sums, of one project or store, and up to the moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from glancekit.bootstrap import load_config
from glancekit.bootstrap.parts import load_metadata
from glancekit.core.model.image import Image, Location
from glancekit.core.storage_use import BYTE_HOUR, DAY, StorageUse

FIRST = datetime(2026, 2, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def books(config_file: Path) -> None:
    """Three days on which two projects took something of two stores; the rests make one more."""
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work() as work:
        for number in range(3):
            for project, store in (("p", "a"), ("p", "b"), ("q", "a")):
                use = StorageUse(
                    day=FIRST + number * DAY,
                    project_id=project,
                    store=store,
                    byte_hours=10,
                    rest=BYTE_HOUR // 3,
                )
                work.ledger.add(use)
        work.commit()
    metadata.close()


def rows(outcome: Any) -> list[tuple[Any, ...]]:
    assert outcome.code == 0, outcome.err
    return [tuple(row.values()) for row in json.loads(outcome.out)]


def test_sums_are_of_all_days_and_lose_no_rest(run: Callable[..., Any]) -> None:
    assert rows(run("usage", "-f", "json")) == [("p", "a", 31), ("p", "b", 31), ("q", "a", 31)]


def test_days_of_one_project_and_store(run: Callable[..., Any]) -> None:
    chosen = ("--project", "p", "--store", "b", "--daily")
    days = [f"2026-{day}" for day in ("02-27", "02-28", "03-01")]
    assert rows(run("usage", *chosen, "-f", "json")) == [(day, "p", "b", 10) for day in days]
    span = ("--from", "2026-02-28", "--to", "2026-02-28")
    assert rows(run("usage", *chosen, *span, "-f", "json")) == [(days[1], "p", "b", 10)]
    assert rows(run("usage", "--store", "nowhere", "-f", "json")) == []


def test_a_program_gets_commas(run: Callable[..., Any]) -> None:
    outcome = run("usage", "--project", "q", "-f", "csv")
    assert outcome.out == "project,store,byte_hours\nq,a,31\n"


def test_what_is_kept_now_is_in_it(run: Callable[..., Any], config_file: Path) -> None:
    metadata = load_metadata(load_config([str(config_file)]))
    metadata.start()
    with metadata.unit_of_work() as work:
        work.images.add(Image(id="i", owner="r", size=1 << 50))
        work.locations.add(Location(url="u", store="a", image_id="i"))
        work.commit()
    metadata.close()
    today = datetime.now(UTC).date().isoformat()
    (found,) = rows(run("usage", "--project", "r", "--from", today, "-f", "json"))
    assert found[2] > 0


def test_what_is_no_day_is_told(run: Callable[..., Any]) -> None:
    outcome = run("usage", "--from", "yesterday")
    assert outcome.code == 2
    assert "yesterday" in outcome.err
