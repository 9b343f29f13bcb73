# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about imports from the web, besides how servers are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glancekit_web_reading.options import OPTIONS as READING

from glancekit.plugin import FloatOpt
from glancekit_web_download.download import Bounds

OPTIONS: Sequence[Any] = (
    *READING,
    FloatOpt(
        "max_time",
        default=86400.0,
        min=1.0,
        help="Seconds that one fetch may take from its beginning, or from where it was taken up "
        "again by another process.",
    ),
    FloatOpt(
        "min_rate",
        default=1024.0,
        min=0.0,
        help="Bytes that must come in a second, on the average of min_rate_time; 0: any number.",
    ),
    FloatOpt(
        "min_rate_time",
        default=60.0,
        min=0.1,
        help="Seconds of waiting over which min_rate is measured.",
    ),
)


def bounds_of(options: Any) -> Bounds:
    """Read the options. ``image_size_cap`` is the service's own."""
    return Bounds(
        size=options.DEFAULT.image_size_cap,
        time=options.max_time,
        rate=options.min_rate,
        rate_time=options.min_rate_time,
    )
