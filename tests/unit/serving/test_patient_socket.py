# SPDX-License-Identifier: Apache-2.0
"""What is sent straight from files: all of it, counted, and given up only when nothing moves."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from glancekit.serving.patient_socket import PIECE, PatientSocket

DATA = os.urandom(5 * PIECE + 11)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of several pieces."""
    path = tmp_path / "image"
    path.write_bytes(DATA)
    return path


@pytest.fixture(params=["tcp", "unix"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[PatientSocket, socket.socket]]:
    """The server's and the client's end of a connection."""
    if request.param == "unix":
        near, far = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            far = socket.create_connection(listening.getsockname())
            near, _ = listening.accept()
    with PatientSocket.take_over(near) as patient, far:
        patient.settimeout(5.0)
        yield patient, far


class Reader(threading.Thread):
    """A client that takes its time."""

    def __init__(self, end: socket.socket, *, pause: float = 0.0) -> None:
        super().__init__(daemon=True)
        self.got = bytearray()
        self._end, self._pause = end, pause
        self.start()

    def run(self) -> None:
        while data := self._end.recv(PIECE // 2):
            self.got += data
            time.sleep(self._pause)


@pytest.mark.parametrize(("offset", "count"), [(0, None), (0, len(DATA)), (7, 3 * PIECE), (9, 1)])
def test_a_part_arrives_and_is_counted(
    ends: tuple[PatientSocket, socket.socket], path: Path, offset: int, count: int | None
) -> None:
    near, far = ends
    reader = Reader(far)
    with path.open("rb") as file:
        sent = near.sendfile(file, offset, count)
    near.shutdown(socket.SHUT_WR)
    reader.join()
    wanted = DATA[offset:] if count is None else DATA[offset : offset + count]
    assert bytes(reader.got) == wanted
    assert sent == near.from_files == len(wanted)


def test_a_file_that_ends_too_early_ends_the_sending(
    ends: tuple[PatientSocket, socket.socket], path: Path
) -> None:
    near, far = ends
    reader = Reader(far)
    with path.open("rb") as file:
        assert near.sendfile(file, 0, 2 * len(DATA)) == len(DATA)
    near.shutdown(socket.SHUT_WR)
    reader.join()


def test_a_slow_reader_has_the_time_out_for_each_step(
    ends: tuple[PatientSocket, socket.socket], path: Path
) -> None:
    near, far = ends
    near.settimeout(2.0)
    reader = Reader(far, pause=0.02)
    begun = time.monotonic()
    with path.open("rb") as file:
        while time.monotonic() - begun < 5.0:  # the time-out several times over
            near.sendfile(file)
    near.shutdown(socket.SHUT_WR)
    reader.join()
    assert len(reader.got) == near.from_files


def test_a_reader_that_stops_is_given_up(
    ends: tuple[PatientSocket, socket.socket], path: Path
) -> None:
    near, _ = ends
    near.settimeout(0.5)
    with path.open("rb") as file, pytest.raises(TimeoutError):
        for _ in range(100):
            near.sendfile(file)
    assert 0 < near.from_files < 100 * len(DATA)
