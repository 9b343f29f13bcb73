# SPDX-License-Identifier: Apache-2.0
"""A Glance database to read, made from the tables alone. A real one is in tests/e2e."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from glancekit_glance_adoption import schema
from glancekit_glance_adoption.database import GlanceDatabase
from glancekit_glance_adoption.findings import Findings
from glancekit_glance_adoption.placing import ConfiguredStore, Places
from glancekit_glance_adoption.reading import GlanceRecords
from sqlalchemy import Table, create_engine, insert

AT = datetime(2024, 5, 6, 7, 8, 9, 123456)
TIMES = {"created_at": AT, "updated_at": AT, "deleted": False}

PLACES = Places(
    [
        ConfiguredStore("slow", "file", ("/srv/slow",)),
        ConfiguredStore("fast", "file", ("/srv/fast",), is_default=True),
        ConfiguredStore("web", "http"),
    ]
)


class Writer:
    """Puts rows into a Glance database, with what every row has."""

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite:///{path}"
        self._engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        self._connection.exec_driver_sql("PRAGMA synchronous=OFF")
        schema.metadata.create_all(self._engine)
        self.add(schema.alembic_version, version_num="2024_1_contract01")

    def add(self, table: Table, **row: Any) -> None:
        self._connection.execute(insert(table), row)

    def image(self, image_id: str, **row: Any) -> None:
        common = {
            "id": image_id,
            "status": "active",
            "visibility": "shared",
            "min_disk": 0,
            "min_ram": 0,
            "protected": False,
            "os_hidden": False,
            "owner": "me",
        }
        self.add(schema.images, **{**common, **TIMES, **row})

    def location(self, image_id: str, url: str, **row: Any) -> None:
        values = {"image_id": image_id, "value": url, "status": "active", **TIMES, **row}
        self.add(schema.image_locations, **values)

    def property(self, image_id: str, name: str, value: str | None, **row: Any) -> None:
        values = {"image_id": image_id, "name": name, "value": value, **TIMES, **row}
        self.add(schema.image_properties, **values)

    def member(self, image_id: str, member: str, **row: Any) -> None:
        values = {"image_id": image_id, "member": member, "can_share": False, **TIMES, **row}
        self.add(schema.image_members, **{"status": "pending", **values})

    def task(self, task_id: str, **row: Any) -> None:
        values = {"id": task_id, "type": "import", "status": "success", "owner": "me", **TIMES}
        self.add(schema.tasks, **{**values, **row})

    def revision(self, revision: str) -> None:
        self._connection.execute(schema.alembic_version.delete())
        self.add(schema.alembic_version, version_num=revision)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


@pytest.fixture
def writer(tmp_path: Path):
    writer = Writer(tmp_path / "glance.sqlite")
    yield writer
    writer.close()


@pytest.fixture
def times() -> dict[str, Any]:
    """The times of things that are never kept once deleted."""
    return {"created_at": AT, "updated_at": AT}


@pytest.fixture
def places() -> Places:
    """The stores of the tests."""
    return PLACES


@pytest.fixture
def records(writer: Writer) -> Callable[..., Any]:
    """Read all of a kind, and return it with the findings."""

    def read(kind: str, *, key: str | None = None, batch: int = 100) -> tuple[list[Any], Findings]:
        findings = Findings()
        with GlanceDatabase(writer.url).reading() as connection:
            found = GlanceRecords(
                connection, PLACES, encryption_key=key, findings=findings, batch=batch
            )
            return [one for batch in getattr(found, kind)() for one in batch], findings

    return read


@pytest.fixture
def empty_database(tmp_path: Path) -> str:
    """The URL of an SQLite database without tables."""
    path = tmp_path / "empty.sqlite"
    sqlite3.connect(path).close()
    path.touch()
    return f"sqlite:///{path}"
