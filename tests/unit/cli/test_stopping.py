# SPDX-License-Identifier: Apache-2.0
"""A process hears that it shall stop, whatever it is at in that moment."""

from __future__ import annotations

import subprocess
import sys

from glancekit.cli.stopping import Stopping

TOLD_ALL_THE_TIME = """
import os, signal, threading, time
from glancekit.cli.stopping import Stopping

stopping = Stopping()
stopping.listen()

def tell():
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.0002)

threading.Thread(target=tell, daemon=True).start()
heard = 0
while heard < 3000:
    heard += stopping.wait(0.001)
os._exit(0)
"""


def test_it_is_told_once_and_waited_for() -> None:
    stopping = Stopping()
    assert not stopping.wait(0)
    stopping.say()
    assert stopping.wait()


def test_a_signal_may_come_at_any_moment_of_waiting() -> None:
    told = subprocess.run([sys.executable, "-c", TOLD_ALL_THE_TIME], timeout=100)
    assert told.returncode == 0
