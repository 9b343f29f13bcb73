# SPDX-License-Identifier: Apache-2.0
"""The service under measurement as a real process, and what it uses of the machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


class Service:
    """A running ``glancekit serve`` and its process tree."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request with a JSON body, and return the JSON of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        return json.loads(content) if content else None

    def create_image(self, name: str, disk_format: str = "raw") -> str:
        """Create a queued image and return its id."""
        image = {"name": name, "disk_format": disk_format, "container_format": "bare"}
        return str(self.call("POST", "/v2/images", image)["id"])

    def cpu_seconds(self) -> float:
        """The processor time that all its processes have used up to now."""
        return sum(_cpu_ticks(pid) for pid in self._pids()) / _TICKS

    def memory(self) -> int:
        """The bytes of memory of all its processes, shared pages counted once (PSS)."""
        return sum(_pss(pid) for pid in self._pids())

    @contextmanager
    def watching_memory(self) -> Iterator[list[int]]:
        """Give a list whose one entry is how far memory has grown at most since the beginning."""
        before, growth, over = self.memory(), [0], threading.Event()

        def watch() -> None:
            while not over.wait(0.05):
                growth[0] = max(growth[0], self.memory() - before)

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield growth
        finally:
            over.set()
            thread.join()

    def _pids(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]


@contextmanager
def service(data_dir: Path, *options: str) -> Iterator[Service]:
    """Start the service on a free port, wait for its first answer, and stop it at the end."""
    port = free_port()
    with (data_dir.parent / "service.log").open("ab") as log:
        process = subprocess.Popen(
            serve_command(data_dir, port, *options),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for_answer(process, port)
        yield Service(process, port)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def serve_command(data_dir: Path, port: int, *options: str) -> list[str]:
    """The command line that starts it."""
    glancekit = str(Path(sys.executable).with_name("glancekit"))
    where = ["--port", str(port), "--data-dir", str(data_dir)]
    return [glancekit, "serve", *where, *options]


def wait_for_answer(process: subprocess.Popen[bytes], port: int, seconds: float = 30) -> None:
    """Ask for the list of images until it comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/v2/images")
            answered = connection.getresponse().status == 200
            connection.close()
        except OSError:
            answered = False
        if answered:
            return
        time.sleep(0.01)
    raise RuntimeError("the service did not answer; service.log says why")


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return 0
