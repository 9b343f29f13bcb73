# SPDX-License-Identifier: Apache-2.0
"""A thread that imports what would import eventlet ends like any other."""

from __future__ import annotations

import subprocess
import sys

THREAD = """
import sys, threading
{first}
def work():
    from tooz import coordination
thread = threading.Thread(target=work, daemon=True)
thread.start()
thread.join(60 if {first!r} else 10)
print(thread.is_alive(), sys.modules.get("eventlet") is None)
"""


def said(first: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", THREAD.format(first=first)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_threads_end_where_eventlet_is_kept_out() -> None:
    assert said("from glancekit.bootstrap import load_config; load_config()") == "False True"


def test_what_was_imported_before_stays() -> None:
    first = "import eventlet; from glancekit.bootstrap import load_config; load_config()"
    assert said(first).endswith(" False")
