# SPDX-License-Identifier: Apache-2.0
"""Fills a database with a realistic mix of images, by the hundred thousand. Asking is cases.py's.

Rows are made by the functions that the driver uses, but go in past it: sorted, in one transaction.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from glancekit_sql_metadata import lists, rows
from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import Image, ImageStatus, MemberStatus, Visibility

FEW = 60
"""How many images belong to what is rare: an owner of few, a rare tag. More than two pages."""

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)

_BATCH = 20_000

_IMAGE = (
    f"INSERT INTO images ({', '.join(column.name for column in rows.IMAGE_COLUMNS)}) "
    f"VALUES ({', '.join(':' + column.name for column in rows.IMAGE_COLUMNS)})"
)
_LOCATION = (
    "INSERT INTO image_locations (image_id, store, url, metadata, status) VALUES (?, ?, ?, ?, ?)"
)
_USAGE = (
    "INSERT INTO project_usage (project_id, image_bytes, stage_bytes, images, uploading) "
    "SELECT owner, SUM(size), 0, COUNT(*), 0 FROM images GROUP BY owner"
)
_MEMBER = "INSERT INTO image_members VALUES (?, ?, ?, ?, ?)"
_SHARED = (
    "INSERT INTO shared_images "
    "SELECT image_id, project_id, image_members.status, os_hidden, name, images.created_at, "
    "images.updated_at FROM image_members JOIN images ON images.id = image_id"
)


def open_driver(path: Path) -> SqliteMetadata:
    """Return a started driver over a file."""
    driver = SqliteMetadata(SimpleNamespace(path=str(path), busy_timeout=30), name="sqlite")
    driver.upgrade()  # it may have been kept since an earlier release
    driver.start()
    return driver


def fill(path: Path, count: int) -> None:
    """Make a database of so many images, unless it is there already."""
    if path.exists():
        return
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    open_driver(unfinished).close()
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
        for pragma in ("synchronous=OFF", "journal_mode=OFF", "cache_size=-400000"):
            database.execute(f"PRAGMA {pragma}")
        _insert(database, count)
    unfinished.rename(path)


def _insert(database: sqlite3.Connection, count: int) -> None:
    database.execute("BEGIN")
    database.execute("CREATE TEMP TABLE entries (list BLOB, created_at INTEGER, image_id TEXT)")
    indexes = _set_indexes_aside(database)
    images = _images(count)
    while batch := list(itertools.islice(images, _BATCH)):
        values = [rows.image_values(image) for image in batch]
        database.executemany(_IMAGE, values)
        database.executemany(_LOCATION, (_location(image) for image in batch))
        database.executemany(_MEMBER, (member for image in batch for member in _members(image)))
        entries = (
            (name, row["created_at"], row["id"])
            for image, row in zip(batch, values, strict=True)
            for name in _entries(image)
        )
        database.executemany("INSERT INTO entries VALUES (?, ?, ?)", entries)
    database.execute(_SHARED)
    database.execute("INSERT INTO image_lists SELECT * FROM entries ORDER BY 1, 2, 3")
    database.execute(_USAGE)
    for index in indexes:
        database.execute(index)
    database.execute("COMMIT")


def _set_indexes_aside(database: sqlite3.Connection) -> list[str]:
    """Drop the indexes and return how they are made: filling them sorted is much quicker."""
    found = database.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        database.execute(f"DROP INDEX {name}")
    return [sql for _, sql in found]


def _images(count: int) -> Iterator[Image]:
    """Yield a mix in which each fact is independent of the others, the same on every run.

    Half of all belong to the owner ``many``, ``FEW`` of them to ``few``, the others to hundreds of
    projects. What is rare is spread evenly over the whole time. The project ``mixed`` owns one in
    a hundred and has accepted one in thirty of the shared images.
    """
    choose = random.Random(count)
    every = max(count // FEW, 1)
    for number in range(count):
        at = BEGINNING + timedelta(seconds=number)
        is_rare = number % every == 0
        tags = {"production"} if choose.random() < 0.5 else set()
        properties = {"os_distro": choose.choice(("ubuntu", "debian", "rocky", "windows"))}
        if number % every == 1:
            tags.add("rare")
        if number % every == 2:
            properties["hw_rare"] = "yes"
        yield Image(
            id=str(uuid.UUID(int=choose.getrandbits(128), version=4)),
            owner="few" if is_rare else _owner(choose),
            status=ImageStatus.ACTIVE,
            visibility=_visibility(choose),
            name="rare" if number % every == 3 else _name(choose),
            disk_format="qcow2",
            container_format="bare",
            size=choose.randrange(1 << 34),
            virtual_size=10 << 30,
            checksum=f"{choose.getrandbits(128):032x}",
            os_hash_algo="sha512",
            os_hash_value=f"{choose.getrandbits(512):0128x}",
            created_at=at,
            updated_at=at + timedelta(seconds=choose.randrange(1 << 20)),
            tags=frozenset(tags),
            properties=properties,
        )


def _owner(choose: random.Random) -> str:
    if choose.random() < 0.5:
        return "many"
    return "mixed" if choose.random() < 0.02 else f"project-{choose.randrange(500)}"


def _visibility(choose: random.Random) -> Visibility:
    (visibility,) = choose.choices(
        (Visibility.PUBLIC, Visibility.COMMUNITY, Visibility.SHARED, Visibility.PRIVATE),
        (10, 5, 45, 40),
    )
    return visibility


def _name(choose: random.Random) -> str:
    return "backup" if choose.random() < 0.3 else f"image-{choose.randrange(100_000)}"


def _location(image: Image) -> tuple[Any, ...]:
    return image.id, "file", f"file:///images/{image.id}", '{"store":"file"}', "active"


def _members(image: Image) -> Iterator[tuple[Any, ...]]:
    """Yield the members of an image: one in thirty of the shared ones is shared, with three."""
    if image.visibility is Visibility.SHARED and int(image.id[:8], 16) % 30 == 0:
        at = rows.to_time(image.created_at)
        yield image.id, "few", MemberStatus.ACCEPTED.value, at, at
        yield image.id, "many", MemberStatus.PENDING.value, at, at
        yield image.id, "mixed", MemberStatus.ACCEPTED.value, at, at


def _entries(image: Image) -> set[bytes]:
    plain = lists.lists_with(
        lists.scopes_of(image.owner, image.visibility.value, image.os_hidden),
        lists.labels_of(image.status.value, image.name, image.properties, image.tags),
    )
    shared = (
        lists.member_list(project, MemberStatus(status), image.os_hidden)
        for _, project, status, _, _ in _members(image)
    )
    return plain | set(shared)
