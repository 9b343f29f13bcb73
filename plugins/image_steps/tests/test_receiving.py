# SPDX-License-Identifier: Apache-2.0
"""The disk that qemu-img writes to, and programs that do not keep to what was agreed."""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from glancekit_image_steps.child import ProgramFailed
from glancekit_image_steps.receiving import Disk, receiving

from glancekit.plugin import Unavailable

SIZE = 5 << 20
WRITE, DISCONNECT, READ = 1, 2, 0


class Program:
    """What qemu-img says, said by hand."""

    def __init__(self, line: int) -> None:
        self._line = socket.socket(fileno=os.dup(line))
        assert self._take(18) == b"NBDMAGIC" + b"IHAVEOPT" + b"\0\3"
        self._line.sendall(struct.pack(">I", 3))
        self._line.sendall(b"IHAVEOPT" + struct.pack(">II", 8, 0))
        assert struct.unpack(">QIII", self._take(20))[1:] == (8, 0x80000001, 0)
        self._line.sendall(b"IHAVEOPT" + struct.pack(">II", 7, 6) + bytes(6))
        self.size = 0
        while (reply := struct.unpack(">QIII", self._take(20)))[2] != 1:
            told = self._take(reply[3])
            if told[:2] == b"\0\0":
                self.size = struct.unpack(">Q", told[2:10])[0]

    def ask(self, kind: int, offset: int = 0, data: bytes = b"") -> int:
        """Ask for something and return the code of the answer."""
        head = struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, len(data))
        self._line.sendall(head + data)
        magic, code, handle = struct.unpack(">IIQ", self._take(16))
        assert (magic, handle) == (0x67446698, 7)
        return int(code)

    def say(self, data: bytes) -> None:
        """Say anything."""
        self._line.sendall(data)

    def end(self) -> None:
        """Say that this was all."""
        self._line.sendall(struct.pack(">IHHQQI", 0x25609513, 0, DISCONNECT, 7, 0, 0))

    def go_away(self) -> None:
        """End without a word."""
        self._line.close()

    def _take(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self._line.recv(count - len(data))
            assert piece, "nobody is there"
            data += piece
        return data


@contextmanager
def program(path: Path) -> Iterator[tuple[Disk, Program]]:
    with receiving(path, SIZE, ["md5", "sha512"], lambda: None) as (disk, line):
        program = Program(line)
        try:
            assert program.size == SIZE
            yield disk, program
        finally:
            program.go_away()


def test_what_is_written_in_order_is_known_by_its_digests(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with program(path) as (disk, writer):
        assert writer.ask(WRITE, 4096, b"a" * 70_000) == 0
        assert writer.ask(WRITE, 3 << 20, b"b" * (1 << 20)) == 0
        writer.end()
    content = bytes(4096) + b"a" * 70_000
    content += bytes((3 << 20) - len(content)) + b"b" * (1 << 20) + bytes(1 << 20)
    assert path.read_bytes() == content
    assert disk.digests == {
        name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha512")
    }
    assert path.stat().st_blocks * 512 < 2 << 20, "there are no holes"


def test_what_is_written_in_disorder_is_not_digested(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with program(path) as (disk, writer):
        assert writer.ask(WRITE, 8192, b"b" * 10) == 0
        assert writer.ask(WRITE, 0, b"a" * 10) == 0
        assert writer.ask(WRITE, 1 << 20, b"c" * 10) == 0
        writer.end()
    assert path.read_bytes()[:10] == b"a" * 10
    assert disk.digests == {}


def test_nothing_is_written_behind_the_end(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with program(path) as (_, writer):
        assert writer.ask(WRITE, SIZE - 4, b"12345") != 0
        assert writer.ask(WRITE, 1 << 63, b"12345") != 0
        assert writer.ask(READ) != 0
        writer.end()
    assert path.read_bytes() == bytes(SIZE)


def goes_away(writer: Program) -> None:
    writer.go_away()


def talks_nonsense(writer: Program) -> None:
    writer.say(b"nonsense" * 8)


def writes_without_end(writer: Program) -> None:
    writer.say(struct.pack(">IHHQQI", 0x25609513, 0, WRITE, 7, 0, 0xFFFFFFFF))


@pytest.mark.parametrize("ends", [goes_away, talks_nonsense, writes_without_end])
def test_of_a_program_that_breaks_off_nothing_is_kept(
    tmp_path: Path, ends: Callable[[Program], None]
) -> None:
    path = tmp_path / "disk"
    with pytest.raises(Unavailable, match="went away"), program(path) as (_, writer):
        writer.ask(WRITE, 0, b"a" * 10)
        ends(writer)
    assert not path.exists()


def test_a_program_s_own_failure_is_what_is_told(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with pytest.raises(ProgramFailed), program(path) as (_, writer):
        writer.go_away()
        raise ProgramFailed("it was killed")
    assert not path.exists()


def test_who_digests_zeros_for_long_can_be_told_to_stop(tmp_path: Path) -> None:
    path = tmp_path / "disk"

    def stop() -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        receiving(path, SIZE, ["md5"], stop) as (_, line),
    ):
        writer = Program(line)
        writer.end()
        writer.go_away()
    assert not path.exists()
