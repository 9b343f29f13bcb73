# SPDX-License-Identifier: Apache-2.0
"""Lines for tests: all goes over them whole, until something was asked for that happens once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from glancekit.testing.wire import BreakingWire, FaultyWire, Line, Wire

DATA = bytes(range(256)) * 1000
PATIENCE = 30.0


class Echo:
    """Sends back whatever comes, and keeps it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.heard = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            while chunk := client.recv(1 << 16):
                self.heard += chunk
                client.sendall(chunk)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def connect(wire: Wire) -> socket.socket:
    host, _, port = wire.address.partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


def take(line: socket.socket, count: int) -> bytes:
    """Read so many bytes, or fewer where the line ends before."""
    got = b""
    with suppress(ConnectionError):
        while len(got) < count and (chunk := line.recv(count - len(got))):
            got += chunk
    return got


def asked(wire: Wire, data: bytes) -> bytes:
    """Send something, and return what comes back before the line ends."""
    with connect(wire) as line, suppress(ConnectionError):
        line.sendall(data)
        return take(line, len(data))
    return b""


def test_it_carries_everything(echo: Echo) -> None:
    with Wire(echo.port) as wire:
        with connect(wire) as one, connect(wire) as other:
            for line in (one, other):
                line.sendall(b"said")
            assert [take(line, 4) for line in (one, other)] == [b"said", b"said"]
        assert wire.url == f"http://127.0.0.1:{wire.port}"


def test_it_can_be_taken_down_and_put_up_again(echo: Echo) -> None:
    with Wire(echo.port) as wire:
        with connect(wire) as line:
            line.sendall(b"said")
            assert take(line, 4) == b"said"
            wire.refuse()
            with pytest.raises(ConnectionRefusedError):
                connect(wire)
            line.sendall(b"more")
            assert take(line, 4) == b"more", "those that are there go on"
            wire.stop()
            assert take(line, 1) == b""
        wire.start_again()
        assert asked(wire, b"again") == b"again"
    with pytest.raises(ConnectionRefusedError):
        connect(wire)


def test_a_kind_of_wire_may_change_what_goes_over_it(echo: Echo) -> None:
    class Loud(Wire):
        def forth(self, line: Line, chunk: bytes) -> bytes:
            return chunk.upper()

        def back(self, line: Line, chunk: bytes) -> bytes | None:
            return None if b"SECRET" in chunk else chunk + b"!"

    with Loud(echo.port) as wire:
        with connect(wire) as line:
            line.sendall(b"said")
            assert take(line, 5) == b"SAID!"
        assert asked(wire, b"secret") == b""


def test_it_breaks_after_what_was_sent_on_all_lines(echo: Echo) -> None:
    cuts: list[int] = []
    with BreakingWire(echo.port, [10, 3], at_cut=lambda: cuts.append(wire.sent)) as wire:
        assert asked(wire, b"1234567") == b"1234567"
        assert asked(wire, b"1234567") in (b"", b"123")
        assert asked(wire, b"1234") in (b"", b"123")
        assert asked(wire, DATA) == DATA
    assert (wire.broken, wire.sent, cuts) == (2, 18 + len(DATA), [14, 18])
    heard = len(b"1234567" + b"123" + b"123" + DATA)
    end = time.monotonic() + PATIENCE
    while len(echo.heard) < heard and time.monotonic() < end:
        time.sleep(0.01)
    assert len(echo.heard) == heard


def test_it_cuts_a_line_that_has_carried_too_much_once(echo: Echo) -> None:
    with FaultyWire(echo.port) as wire:
        wire.cut_back = 100_000
        assert len(asked(wire, DATA)) <= 100_000
        assert asked(wire, DATA) == DATA
        echo.heard = b""
        wire.cut_forth = 100_000
        asked(wire, DATA)
        assert asked(wire, b"said") == b"said"
        assert len(echo.heard) <= 100_004
    assert wire.happened == 2


def test_it_loses_an_answer_whose_question_arrived(echo: Echo) -> None:
    with FaultyWire(echo.port) as wire:
        wire.lost = lambda chunk: chunk.startswith(b"b")
        assert asked(wire, b"a") == b"a"
        assert asked(wire, b"b") == b""
        assert asked(wire, b"b") == b"b"
    assert (wire.happened, echo.heard) == (1, b"abb")


def test_it_damages_what_follows(echo: Echo) -> None:
    with FaultyWire(echo.port) as wire, connect(wire) as line:
        wire.damaged = lambda chunk: chunk == b"head"
        for sent, got in ((b"head", b"head"), (b"body", b"cody"), (b"head", b"head")):
            line.sendall(sent)
            assert take(line, 4) == got
    assert wire.happened == 1
