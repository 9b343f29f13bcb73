# SPDX-License-Identifier: Apache-2.0
"""The listener ``old``: it is told of every change and counts the kinds. Installing the package
is enough. ``docs/reference/hooks.rst`` of glancekit has all moments at which it can be called.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from glancekit.plugin import Event, hookimpl

api_level = 1

log = logging.getLogger(__name__)

counted: Counter[str] = Counter()


@hookimpl
def after_commit(events: Sequence[Event]) -> None:
    """Count what has happened. Whatever is raised here is logged and disturbs nobody."""
    for event in events:
        counted[str(event.type)] += 1
        log.debug("%s of %s: number %d", event.type, event.subject, counted[str(event.type)])
