# SPDX-License-Identifier: Apache-2.0
"""A process beside those that answer requests: started when there is work for it, never in their
way. What it does is its command's business.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

PAUSE = 5.0
"""Seconds before one that ended by itself is started again."""

PATIENCE = 10.0
"""Seconds that it has to end when it is told to."""


class Companion:
    """A child of this process; it ends when its standard input does, so also when we die."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._stopped = False

    def ensure(self) -> None:
        """Start it unless it runs."""
        with self._lock:
            if self._stopped or time.monotonic() < self._not_before:
                return
            if self._process is not None:
                code = self._process.poll()
                if code is None:
                    return
                assert self._process.stdin is not None
                self._process.stdin.close()
                if code != 0:
                    log.warning("'%s' ended with %d", " ".join(self._command[1:]), code)
            self._not_before = time.monotonic() + PAUSE
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.PIPE
            )

    def stop(self) -> None:
        """Tell it to end, and see that it does."""
        with self._lock:
            self._stopped = True
            process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def python() -> str:
    """Return this interpreter, also inside a server that has it built in."""
    if "python" in Path(sys.executable or "").name:
        return sys.executable
    version = sysconfig.get_python_version()
    return str(Path(sys.prefix) / "bin" / f"python{version}")
