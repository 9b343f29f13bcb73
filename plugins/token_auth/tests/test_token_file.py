# SPDX-License-Identifier: Apache-2.0
"""The file of tokens: who may read it, many writers, writers that die, damage."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from glancekit_token_auth.token_file import TokenFile, TokenFileUnusable
from glancekit_token_auth.tokens import Record, make_token

WRITER = """
import sys
from glancekit_token_auth.token_file import TokenFile
from glancekit_token_auth.tokens import Record

file = TokenFile(sys.argv[1])
print("ready", flush=True)
number = 0
while number < int(sys.argv[3]):
    with file.change() as records:
        name = f"{sys.argv[2]}-{number}"
        records[name] = Record(
            id=name, digest="d" * 64, user="u", project="p", roles=("member",), created=1.0
        )
    number += 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def record(token_id: str = "0123456789ab") -> Record:
    _, _, digest = make_token()
    return Record(
        id=token_id, digest=digest, user="u", project="p", roles=("reader",), created=1.0
    )


def put(path: Path, *records: Record) -> None:
    with TokenFile(str(path)).change() as kept:
        kept.update({one.id: one for one in records})


def writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_what_is_kept_is_read_again(path: Path) -> None:
    one = record()
    put(path, one)
    assert TokenFile(str(path)).records() == {one.id: one}


def test_no_file_holds_nothing(path: Path) -> None:
    assert TokenFile(str(path)).records() == {}
    assert not path.exists()


def test_only_its_owner_may_read_it(path: Path) -> None:
    put(path, record())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_that_fails_changes_nothing(path: Path) -> None:
    put(path, record())
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), TokenFile(str(path)).change() as records:
        records.clear()
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert sorted(found.name for found in path.parent.iterdir()) == [
        "tokens.json",
        "tokens.json.lock",
    ]


def test_many_writers_lose_nothing(path: Path) -> None:
    writers = [writer(path, name, 25) for name in "abcd"]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    expected = {f"{name}-{number}" for name in "abcd" for number in range(25)}
    assert set(TokenFile(str(path)).records()) == expected


def test_a_reader_never_sees_half_a_file(path: Path) -> None:
    process = writer(path, "w", 150)
    seen = set()
    while process.poll() is None:
        seen.add(len(TokenFile(str(path)).records()))
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert len(seen) > 1
    assert len(TokenFile(str(path)).records()) == 150


def test_a_writer_that_is_killed_leaves_whole_tokens_and_no_lock(path: Path) -> None:
    process = writer(path, "killed", 1_000_000)
    assert process.stdout is not None
    process.stdout.readline()
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    survived = set(TokenFile(str(path)).records())
    assert survived
    put(path, record())
    assert set(TokenFile(str(path)).records()) == survived | {"0123456789ab"}


def test_a_change_is_seen_and_no_change_costs_no_reading(path: Path) -> None:
    one, two = record("000000000001"), record("000000000002")
    put(path, one)
    file = TokenFile(str(path))
    first = file.records()
    assert file.records() is first
    put(path, two)
    assert set(file.records()) == {one.id, two.id}
    path.unlink()
    assert file.records() == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 1}',
        b'{"version": 2, "tokens": []}',
        b'{"version": 1, "tokens": [{"id": "x"}]}',
        b'{"version": 1, "tokens": {"a": 1}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_not_believed(
    path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(path, record())
    file = TokenFile(str(path))
    assert file.records()
    whole = path.read_bytes()
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(TokenFileUnusable, match="damaged"):
            file.records()
    with pytest.raises(TokenFileUnusable), file.change():
        pass
    assert path.read_bytes() == content
    path.write_bytes(whole)
    assert file.records()


def test_a_file_that_others_may_write_is_not_believed(path: Path) -> None:
    put(path, record())
    path.chmod(0o666)
    with pytest.raises(TokenFileUnusable, match="chmod 600"):
        TokenFile(str(path)).records()


def test_what_a_later_release_adds_to_a_token_is_no_hindrance(path: Path) -> None:
    put(path, record())
    path.write_text(path.read_text().replace('"user"', '"mood": "good", "user"'))
    assert TokenFile(str(path)).records()["0123456789ab"].user == "u"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_what_root_writes_belongs_to_the_folders_owner(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)
    put(path, record())
    for made in (path, path.with_name("tokens.json.lock")):
        assert (made.stat().st_uid, made.stat().st_gid) == (65534, 65534)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TokenFileUnusable, match=r"file/tokens\.json"):
        put(tmp_path / "file" / "tokens.json", record())
