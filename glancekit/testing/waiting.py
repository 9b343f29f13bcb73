# SPDX-License-Identifier: Apache-2.0
"""Waiting in a test for what another thread, process or server is about to do.

No running service imports it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds: what takes longer on a busy machine, too, will not come about."""

_PAUSE = 0.02


def wait_until(claim: Callable[[], bool], *, seconds: float = PATIENCE) -> None:
    """Return as soon as the claim holds.

    :raises AssertionError: when it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, f"it did not come about in {seconds:g} s"
        time.sleep(_PAUSE)
