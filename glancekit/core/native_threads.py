# SPDX-License-Identifier: Apache-2.0
"""Keeps threads what Python has them be. What runs in them is not its business."""

from __future__ import annotations

import sys


def keep_eventlet_out() -> None:
    """Have nothing import eventlet in this process, unless somebody has before us.

    It comes along with libraries of ours, one of which imports it only to know that it is there.
    Its import makes a second module ``threading`` whose main thread is whichever thread that
    happens in, and a thread that this was done to looks alive for ever to who waits for its end:
    a service that closes would.
    """
    sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]  # None: an ImportError
