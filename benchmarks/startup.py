# SPDX-License-Identifier: Apache-2.0
"""The time from the start of the process to its first answer, on a new and on a used folder."""

from __future__ import annotations

import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Row
from benchmarks.running import free_port, serve_command, wait_for_answer

AIM = 1.5


def run(folder: Path, *, rounds: int) -> Iterator[Row]:
    """Measure the first start ever, and those that follow."""
    first = [start(folder / f"data{number}") for number in range(rounds)]
    yield _row("first start to first answer", first)
    later = [start(folder / "data0") for _ in range(rounds)]
    yield _row("later start to first answer", later)


def start(data_dir: Path) -> float:
    """Start, wait, stop; the seconds until the answer."""
    port = free_port()
    with (data_dir.parent / "service.log").open("ab") as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            serve_command(data_dir, port), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for_answer(process, port)
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _row(what: str, seconds: list[float]) -> Row:
    middle = statistics.median(seconds)
    return Row(what=what, measured=f"{middle:.2f} s", aim=f"<= {AIM} s", reached=middle <= AIM)
