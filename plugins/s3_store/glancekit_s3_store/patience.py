# SPDX-License-Identifier: Apache-2.0
"""Servers that want fewer requests are given time. What is asked of them is not its business.

The SDK asks three times in all, within a second or two, which is right where a server is gone. One
that says that it is busy goes on to be so for longer, and a large upload should not end with that.
"""

from __future__ import annotations

import random
from typing import Any

ATTEMPTS = 6
"""How often a request is made in all when each answer is that there are too many."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0
"""Seconds at most, twice as many each time: 23 in all, and so less than an answer may take."""

_TOO_MANY = frozenset(
    {
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "TooManyRequests",
        # An answer to HEAD has no body, and so a number alone.
        "429",
        "503",
    }
)


def wait_when_told_to(client: Any) -> None:
    """Have a client ask later what it asked too soon."""
    client.meta.events.register_first("needs-retry.s3", _look)


def _look(response: Any = None, attempts: int = 1, **more: Any) -> float | None:
    """Answer the SDK's question whether to repeat a request: seconds to wait, or None."""
    if response is None or attempts >= ATTEMPTS or not _wants_fewer(response[1].get("Error", {})):
        return None
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempts - 1))
    return longest * random.uniform(0.5, 1.0)  # not all at once again


def _wants_fewer(error: dict[str, Any]) -> bool:
    return str(error.get("Code")) in _TOO_MANY
