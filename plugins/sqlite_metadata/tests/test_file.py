# SPDX-License-Identifier: Apache-2.0
"""The file: who makes it, what it may be, what happens when it is busy, full, copied or torn."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from glancekit_sqlite_metadata.driver import SqliteMetadata

from glancekit.plugin import (
    Image,
    ImageQuery,
    Invalid,
    MetadataError,
    MetadataUnavailable,
    SchemaMismatch,
)

Build = Callable[[], SqliteMetadata]


def add(driver: SqliteMetadata, **facts: object) -> str:
    image = Image(**{"id": str(uuid.uuid4()), "owner": "me", **facts})
    with driver.unit_of_work() as work:
        work.images.add(image)
        work.commit()
    return image.id


def count(driver: SqliteMetadata) -> int:
    with driver.unit_of_work(read_only=True) as work:
        return len(work.images.find(ImageQuery(limit=1000)).images)


@contextmanager
def writing_elsewhere(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_the_schema_is_made_once_by_processes_that_start_at_once(build: Build) -> None:
    driver = build()
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(6)

    def start() -> None:
        ready.wait(30)
        driver.start()
        add(driver)

    processes = [context.Process(target=start) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 6
    assert count(driver) == 6


def test_commits_are_durable_and_readers_never_wait(driver: SqliteMetadata, path: Path) -> None:
    add(driver)
    connections = driver._mine()
    connection = connections.begin(read_only=False)
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    assert raw.execute("PRAGMA synchronous").fetchone() == (2,)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert raw.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert count(driver) == 1
    connections.end(connection, read_only=False, committed=False)


def test_a_process_killed_while_writing_keeps_what_was_committed(
    driver: SqliteMetadata, build: Build
) -> None:
    context = multiprocessing.get_context("fork")
    told, telling = context.Pipe(duplex=False)

    def write() -> None:
        while True:
            telling.send(add(driver))

    process = context.Process(target=write)
    process.start()
    committed = [told.recv() for _ in range(20)]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    while told.poll():
        committed.append(told.recv())
    again = build()
    again.start()
    with again.unit_of_work(read_only=True) as work:
        for image_id in committed:
            work.images.get(image_id)
    add(again)


def test_another_process_that_writes_for_too_long_is_told(
    driver: SqliteMetadata, path: Path
) -> None:
    add(driver)
    with writing_elsewhere(path):
        assert count(driver) == 1
        with pytest.raises(MetadataUnavailable, match="busy"), driver.unit_of_work():
            pass
    add(driver)
    assert count(driver) == 2


def test_another_thread_that_writes_for_too_long_is_told(driver: SqliteMetadata) -> None:
    inside, over = threading.Event(), threading.Event()

    def write() -> None:
        with driver.unit_of_work():
            inside.set()
            over.wait(30)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(30)
    try:
        with pytest.raises(MetadataUnavailable, match="busy"), driver.unit_of_work():
            pass
    finally:
        over.set()
        thread.join()
    add(driver)


def test_a_full_disk_is_told_and_nothing_is_changed(driver: SqliteMetadata) -> None:
    add(driver)
    connections = driver._mine()
    connection = connections.begin(read_only=False)
    # SQLite answers as it does to ENOSPC when the file would grow beyond so many pages.
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")
    connections.commit(connection, read_only=False)
    connections.end(connection, read_only=False, committed=True)
    with pytest.raises(MetadataUnavailable, match="no room left"):
        add(driver, properties={"long": "x" * 100_000})
    assert count(driver) == 1
    add(driver)


def test_a_file_that_is_no_database_is_told(build: Build, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"QFI\xfb" + b"\0" * 8192)
    for attempt in (build().start, build().version, build().upgrade, build().check):
        with pytest.raises(MetadataError, match=f"{path} is not an SQLite database"):
            attempt()


def test_a_folder_that_cannot_be_written_to_is_told(build: Build, path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(MetadataUnavailable, match=str(path)):
        build().start()


def test_a_folder_that_cannot_be_made_is_told(build: Build, path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    for attempt in (build().start, build().upgrade):
        with pytest.raises(MetadataUnavailable, match=f"folder {path.parent}"):
            attempt()


def test_a_database_of_something_else_is_not_touched(build: Build, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
        before = path.read_bytes()
    for attempt in (build().start, build().upgrade):
        with pytest.raises(SchemaMismatch):
            attempt()
    assert path.read_bytes() == before


def test_the_database_of_another_service_is_told_from_ours(build: Build, path: Path) -> None:
    """Upstream's image service, for one, keeps its revisions in a table of the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE images (id VARCHAR(36))")
        other.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        other.execute("INSERT INTO alembic_version VALUES ('2024_1_contract01')")
        before = path.read_bytes()
    for attempt in (build().start, build().upgrade):
        with pytest.raises(SchemaMismatch, match="not glancekit's"):
            attempt()
    assert path.read_bytes() == before


def test_another_revision_is_told(driver: SqliteMetadata, build: Build, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    again = build()
    with pytest.raises(SchemaMismatch) as told:
        again.start()
    assert (told.value.found, told.value.wanted) == ("9999", again.head())
    with pytest.raises(SchemaMismatch, match="newer release"):
        again.version()


def test_a_backup_that_lost_wal_gets_it_back(
    driver: SqliteMetadata, build: Build, path: Path
) -> None:
    add(driver)
    driver.close()
    backup = path.with_name("backup")
    with closing(sqlite3.connect(path, isolation_level=None)) as source:
        source.execute(f"VACUUM INTO '{backup}'")
    backup.rename(path)
    again = build()
    again.start()
    assert count(again) == 1
    with closing(sqlite3.connect(path)) as look:
        assert look.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_version_of_an_empty_database_is_none_and_upgrade_makes_it(build: Build) -> None:
    driver = build()
    assert driver.version() is None
    assert not driver._path.parent.exists()
    driver.upgrade()
    assert driver.version() == driver.head()
    add(driver)


def test_an_unfinished_unit_of_work_leaves_the_driver_usable(driver: SqliteMetadata) -> None:
    for _ in range(40):
        with pytest.raises(KeyError), driver.unit_of_work():
            raise KeyError
        with pytest.raises(KeyError), driver.unit_of_work(read_only=True):
            raise KeyError
    add(driver)


def test_nothing_can_be_written_after_the_commit(driver: SqliteMetadata) -> None:
    with driver.unit_of_work() as work:
        work.commit()
        with pytest.raises(MetadataError):
            work.images.add(Image(id=str(uuid.uuid4()), owner="me"))
        with pytest.raises(MetadataError):
            work.commit()


@pytest.mark.parametrize("facts", [{"name": "\ud800"}, {"min_ram": 1 << 70}])
def test_what_no_database_can_keep_is_invalid(driver: SqliteMetadata, facts: object) -> None:
    assert isinstance(facts, dict)
    with pytest.raises(Invalid):
        add(driver, **facts)
    assert count(driver) == 0


def test_a_fork_takes_no_open_file_along(driver: SqliteMetadata, path: Path) -> None:
    add(driver)
    assert count(driver) == 1
    context = multiprocessing.get_context("fork")
    told, telling = context.Pipe(duplex=False)

    def look() -> None:
        links = (
            os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")
        )
        telling.send([link for link in links if link.startswith(str(path))])

    process = context.Process(target=look)
    process.start()
    assert told.recv() == []
    process.join(30)
    add(driver)
    assert count(driver) == 2
