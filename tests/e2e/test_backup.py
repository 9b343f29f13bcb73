# SPDX-License-Identifier: Apache-2.0
"""Records dumped while the service runs, into a database of another kind, and back again."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)


def db(config: Path, *words: object, **pipes: Any) -> subprocess.CompletedProcess[bytes]:
    """Type ``glancekit db``."""
    command = [sys.executable, "-m", "glancekit.cli", "--config-file", str(config), "db"]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, timeout=120, **pipes)
    assert done.returncode == 0, done.stderr.decode()
    return done


def records_of(dump: bytes) -> list[bytes]:
    """Return the records of a dump, without the header's time and the digest of all.

    What its images take of the stores they go on to take, so that is left out, too.
    """
    records = gzip.decompress(dump).splitlines()[1:-1]
    return [record for record in records if not record.startswith(b'{"storage_use"')]


@pytest.fixture
def postgresql(database_server: Callable[..., AbstractContextManager[Any]]) -> Iterator[str]:
    """The URL of an empty database in a real PostgreSQL."""
    with database_server("postgresql") as server:
        yield server.make_database("backup")


def test_from_sqlite_to_postgresql_and_back(
    service: Any, make_service: Callable[..., Any], postgresql: str, tmp_path: Path
) -> None:
    ids = [service.create(name=f"Größe {number}", number=str(number)) for number in range(20)]
    service.upload(ids[0], b"data")
    files = {name: tmp_path / f"{name}.conf" for name in ("here", "there", "again")}
    files["here"].write_text(f"[DEFAULT]\ndata_dir = {service.data_dir}\n")
    files["there"].write_text(
        f"[DEFAULT]\ndata_dir = {tmp_path / 'there'}\n"
        f"[metadata]\ndriver = postgresql\nconnection = {postgresql}\n"
    )
    files["again"].write_text(f"[DEFAULT]\ndata_dir = {tmp_path / 'again'}\n")

    over = threading.Event()
    made: list[str] = []

    def go_on() -> None:
        while not over.is_set():
            made.append(service.create(name="meanwhile"))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        first = db(files["here"], "dump", "-").stdout
    finally:
        over.set()
        thread.join()
    assert made
    db(files["there"], "load", "-", input=first)
    second = db(files["there"], "dump", "-").stdout
    assert records_of(second) == records_of(first)
    db(files["again"], "load", "-", input=second)
    assert records_of(db(files["again"], "dump", "-").stdout) == records_of(first)

    service.stop()
    other = make_service(
        files["there"].read_text()
        + f"[local]\nfilesystem_store_datadir = {service.data_dir / 'stores' / 'local'}\n",
        data_dir=tmp_path / "there",
    )
    other.start()
    assert other.download(ids[0]) == b"data"
    assert other.show(ids[7])["number"] == "7"
