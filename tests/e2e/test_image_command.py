# SPDX-License-Identifier: Apache-2.0
"""``glancekit image`` as it is typed, against a running service."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from glancekit.testing.wire import Line, Wire

MIB = 1 << 20


@dataclass(frozen=True)
class Outcome:
    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode().strip()


@dataclass
class Shell:
    """Runs the command against one URL, with nothing of OS_* in the environment."""

    url: str

    def run(self, *words: str | Path, stdin: bytes = b"", **environment: str) -> Outcome:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OS_")}
        where = [] if environment else ["--url", self.url]
        done = subprocess.run(
            [
                sys.executable,
                "-W",
                "error::UserWarning",
                "-m",
                "glancekit.cli",
                "image",
                *where,
                *map(str, words),
            ],
            input=stdin,
            capture_output=True,
            timeout=60,
            env=kept | environment,
        )
        return Outcome(done.returncode, done.stdout, done.stderr.decode())

    def must(self, *words: str | Path, **more: str) -> str:
        outcome = self.run(*words, **more)
        assert outcome.code == 0, f"{words}: {outcome.err}"
        return outcome.text


@pytest.fixture(scope="module")
def lasting(make_lasting_service):
    service = make_lasting_service()
    service.start()
    return service


@pytest.fixture
def shell(lasting) -> Shell:
    return Shell(lasting.url)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.raw"
    path.write_bytes(os.urandom(3 * MIB + 17))
    return path


@pytest.fixture
def image_id(shell: Shell, disk: Path) -> str:
    return shell.must("create", disk.parent.name, "--file", disk, "-f", "value", "-c", "id")


def test_what_was_created_from_a_file_is_saved_again(shell, disk, image_id, tmp_path):
    shown = json.loads(shell.must("show", image_id, "-f", "json"))
    assert (shown["status"], shown["disk_format"]) == ("active", "raw")
    assert shown["os_hash_value"] == hashlib.sha512(disk.read_bytes()).hexdigest()
    outcome = shell.run("save", disk.parent.name, "--file", tmp_path / "copy", "--progress")
    assert outcome.code == 0, outcome.err
    assert "save" in outcome.err
    assert (tmp_path / "copy").read_bytes() == disk.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "disk.raw"]
    assert shell.run("save", image_id).out == disk.read_bytes()


def test_the_format_is_found_out_and_a_pipe_is_taken(shell, disk, tmp_path):
    qcow2 = tmp_path / "disk.qcow2"
    command = ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, qcow2]
    subprocess.run(command, check=True)
    made = json.loads(shell.must("create", "--file", qcow2, "-f", "json"))
    assert (made["disk_format"], made["size"]) == ("qcow2", qcow2.stat().st_size)
    refused = shell.run("create", "piped", "--file", "-", stdin=b"abc")
    assert refused.code == 2
    assert "--disk-format" in refused.err
    taken = shell.run("create", "--file", "-", "--disk-format", "raw", "-f", "json", stdin=b"abc")
    assert json.loads(taken.out)["size"] == 3


def test_data_that_are_refused_leave_no_image(shell, disk):
    outcome = shell.run("create", "false", "--file", disk, "--disk-format", "qcow2")
    assert outcome.code == 1
    assert "415" in outcome.err
    assert shell.must("list", "--name", "false", "-f", "value") == ""


def test_upload_gives_an_image_its_data(shell, disk):
    made = shell.must("create", "--disk-format", "raw", "--container-format", "bare",
                      "-f", "value", "-c", "id")  # fmt: skip
    shell.must("upload", made, disk)
    assert shell.must("show", made, "-f", "value", "-c", "status") == "active"
    again = shell.run("upload", made, disk)
    assert again.code == 5
    assert "409" in again.err


def test_lists_have_every_shape(shell, image_id, disk):
    words = ("list", "--name", disk.parent.name, "-c", "id", "-c", "Status", "-f")
    expected = {"id": image_id, "status": "active"}
    assert json.loads(shell.must(*words, "json")) == [expected]
    assert yaml.safe_load(shell.must(*words, "yaml")) == [expected]
    assert list(csv.DictReader(shell.must(*words, "csv").splitlines())) == [expected]
    assert shell.must(*words, "value") == f"{image_id} active"
    assert image_id in shell.must(*words, "table")
    assert shell.run("list", "-c", "nonsense").code == 2


def test_lists_go_on_over_pages_and_stop_where_told(shell):
    tag = "paged"
    made = {
        shell.must("create", f"n{number}", "--tag", tag, "-f", "value", "-c", "id")
        for number in range(3)
    }
    assert set(shell.must("list", "--tag", tag, "-f", "value", "-c", "id").split()) == made
    first = shell.must("list", "--tag", tag, "--limit", "1", "-f", "value", "-c", "id")
    rest = shell.must("list", "--tag", tag, "--marker", first, "-f", "value", "-c", "id")
    assert {first, *rest.split()} == made
    by_name = ("list", "--tag", tag, "--sort", "name:asc", "-f", "value", "-c", "name")
    assert shell.must(*by_name).split() == ["n0", "n1", "n2"]


def test_what_is_set_is_unset_again(shell, image_id):
    shell.must("set", image_id, "--property", "a/b~c=d=e", "--tag", "t", "--min-ram", "7",
               "--hidden", "--protected")  # fmt: skip
    shown = json.loads(shell.must("show", image_id, "-f", "json"))
    assert (shown["a/b~c"], shown["tags"], shown["min_ram"]) == ("d=e", ["t"], 7)
    assert (shown["os_hidden"], shown["protected"]) == (True, True)
    assert shell.run("delete", image_id).code == 3
    shell.must("unset", image_id, "--property", "a/b~c", "--tag", "t")
    shell.must("set", image_id, "--shown", "--unprotected", "--deactivate")
    shown = json.loads(shell.must("show", image_id, "-f", "json"))
    assert "a/b~c" not in shown
    assert (shown["tags"], shown["status"]) == ([], "deactivated")
    missing = shell.run("unset", image_id, "--property", "a/b~c")
    assert missing.code == 4
    assert "a/b~c" in missing.err


def test_tags_and_members(shell, image_id):
    shell.must("tag", "add", image_id, "one", "two words")
    shell.must("tag", "remove", image_id, "one")
    assert shell.must("show", image_id, "-f", "value", "-c", "tags") == "two words"
    shell.must("set", image_id, "--visibility", "shared")
    shell.must("member", "add", image_id, "p1", "p2")
    shell.must("member", "remove", image_id, "p1")
    shell.must("set", image_id, "--accept", "--project", "p2")
    listed = shell.must(
        "member", "list", image_id, "-f", "value", "-c", "member_id", "-c", "status"
    )
    assert listed == "p2 accepted"
    assert shell.run("set", image_id, "--accept").code == 2


def test_delete_goes_on_behind_one_that_is_not_there(shell):
    made = [shell.must("create", "gone", "-f", "value", "-c", "id") for _ in range(2)]
    ambiguous = shell.run("delete", "gone")
    assert ambiguous.code == 5
    assert "use an id" in ambiguous.err
    outcome = shell.run("delete", made[0], "nothing-such", made[1])
    assert outcome.code == 4
    assert "nothing-such" in outcome.err
    assert shell.must("list", "--name", "gone", "-f", "value") == ""


def test_no_answer_is_told_from_others(shell, disk):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    outcome = Shell(f"http://127.0.0.1:{port}").run("list")
    assert outcome.code == 7
    assert f"127.0.0.1:{port}" in outcome.err
    assert "Traceback" not in outcome.err
    assert Shell("ftp://127.0.0.1").run("list").code == 2
    assert shell.run("upload", "x", disk.parent / "nowhere").code in (2, 4)


def test_openstacksdk_shows_the_way_by_the_environment(shell, image_id):
    pytest.importorskip("openstack", reason="pip install openstacksdk")
    outcome = shell.run("show", image_id, "-f", "json", OS_AUTH_TYPE="none", OS_ENDPOINT=shell.url)
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["id"] == image_id


# -- broken downloads


class CuttingWire(Wire):
    """Cuts each of the first downloads off after so many bytes, and keeps their ranges."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._cuts = cuts
        self._left: dict[Line, int] = {}
        self.ranges: list[str] = []
        super().__init__(port)

    def forth(self, line: Line, chunk: bytes) -> bytes | None:
        if b"/file HTTP" in chunk:
            lines = chunk.decode().splitlines()
            self.ranges += [one for one in lines if one.lower().startswith("range:")]
            if self._cuts:
                self._left[line] = self._cuts.pop(0)
        return chunk

    def back(self, line: Line, chunk: bytes) -> bytes | None:
        left = self._left.get(line)
        if left is None:
            return chunk
        self._left[line] = left - len(chunk)
        if len(chunk) < left:
            return chunk
        line.client.sendall(chunk[:left])
        return None


@pytest.fixture
def cutting(lasting) -> Iterator[Callable[[list[int]], CuttingWire]]:
    with ExitStack() as made:
        yield lambda cuts: made.enter_context(CuttingWire(lasting.port, cuts))


def test_a_download_that_breaks_goes_on_by_range(cutting, disk, image_id, tmp_path):
    wire = cutting([MIB, MIB // 2])
    Shell(wire.url).must("save", image_id, "--file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == disk.read_bytes()
    assert len(wire.ranges) == 2


def test_the_next_run_goes_on_where_one_ended(shell, cutting, disk, image_id, tmp_path):
    part = tmp_path / f"copy.{image_id}.part"
    part.write_bytes(disk.read_bytes()[: 2 * MIB])
    wire = cutting([])
    Shell(wire.url).must("save", image_id, "--file", tmp_path / "copy")
    assert wire.ranges == [f"Range: bytes={2 * MIB}-"]
    assert (tmp_path / "copy").read_bytes() == disk.read_bytes()
    assert not part.exists()


def test_damaged_data_is_not_kept(shell, image_id, tmp_path):
    part = tmp_path / f"copy.{image_id}.part"
    part.write_bytes(b"not what it begins with")
    outcome = shell.run("save", image_id, "--file", tmp_path / "copy")
    assert outcome.code == 8
    assert "sha512" in outcome.err
    assert not part.exists()
    assert not (tmp_path / "copy").exists()
