# SPDX-License-Identifier: Apache-2.0
"""Starts the real server as a process, and ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVICE = Path(__file__).with_name("service_for_tests.py")
BIG = 48 << 20


class Running:
    """A server process, its address and what it prints."""

    def __init__(self, folder: Path, **settings) -> None:
        self.folder = folder
        self.log = folder / "log"
        given = {"folder": str(folder), "workers": 1, "address": {"port": 0}, **settings}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SERVICE), json.dumps(given)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_it_listens(self) -> None:
        found = self.wait_for(r"listens on (\S+)")
        self.url = found[1]
        host, _, port = self.url.rpartition("//")[2].rpartition(":")
        self.target = (host.strip("[]"), int(port)) if port.isdigit() else None

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.search(pattern, self.text()):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} did not come; the log says:\n{self.text()}")

    def text(self) -> str:
        return self.log.read_text()

    def connect(self) -> socket.socket:
        return socket.create_connection(self.target, timeout=30)

    def ask(self, request: bytes) -> bytes:
        """Send bytes as they are and return all that comes until the server closes."""
        with self.connect() as sock:
            sock.sendall(request)
            return read_all(sock)

    def get(self, path: str) -> bytes:
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(60)


def read_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def start(tmp_path):
    """Start servers with these settings; they are ended with the test."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.write(os.urandom(1 << 20) * (BIG >> 20))
    servers = []

    def begin(*, listens=True, **settings) -> Running:
        servers.append(Running(tmp_path, **settings))
        if listens:
            servers[-1].wait_until_it_listens()
        return servers[-1]

    yield begin
    for server in servers:
        server.stop()
