# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about audits of copies: the section ``[auditor]``."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

from oslo_config import cfg

from glancekit.core.options import Size
from glancekit.core.throttle import Throttle

SECTION = "auditor"

AUDITOR_OPTIONS: list[cfg.Opt] = [
    cfg.BoolOpt(
        "enabled",
        default=True,
        help="Let the service read every copy of every image once in a cycle, in the background, "
        "and compare it with the image's digests.",
    ),
    cfg.FloatOpt(
        "cycle",
        default=30.0,
        min=0.0,
        help="Days in which every copy is read once. 0: a copy is due again at once, so that "
        "reading never ends.",
    ),
    cfg.Opt(
        "bandwidth",
        type=Size(),
        default=20 << 20,
        sample_default="20MB",
        help="Bytes per second that audits read and repairs copy, all together; 0: as fast as it "
        "goes. Where it is too little for the cycle, 'glancekit audit report' shows how far "
        "behind it is.",
    ),
    cfg.FloatOpt(
        "interval",
        default=60.0,
        min=1.0,
        help="Seconds between looks for copies that are due, and for lost ones to be repaired.",
    ),
    cfg.BoolOpt(
        "repair",
        default=True,
        help="Replace a copy that was found bad or missing by a good one from another store. "
        "Otherwise it is only told.",
    ),
    cfg.BoolOpt(
        "serve_damaged",
        default=False,
        help="Send an image's bytes although an audit found that they are not those that were "
        "stored, where there is no good copy. Otherwise its download is refused with 409.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditing:
    """``[auditor]``, read. ``throttle`` holds up what audits read and repairs copy."""

    enabled: bool = True
    cycle: timedelta = timedelta(days=30)
    interval: float = 60.0
    repair: bool = True
    serve_damaged: bool = False
    throttle: Throttle = field(default_factory=lambda: Throttle(0, threading.Event()))

    @classmethod
    def of(cls, options: Any, stopping: threading.Event) -> Self:
        """Make it of the section's values; ``stopping`` ends what is being read."""
        return cls(
            enabled=options.enabled,
            cycle=timedelta(days=options.cycle),
            interval=options.interval,
            repair=options.repair,
            serve_damaged=options.serve_damaged,
            throttle=Throttle(options.bandwidth, stopping),
        )
