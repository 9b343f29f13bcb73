# SPDX-License-Identifier: Apache-2.0
"""The limits ``old``: what each project may have is in a file, which is read again once it has
changed. What a project has, and what is too much, is not its business.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from glancekit.plugin import LimitSource, Quota, StrOpt, Unavailable

USUAL = "*"
"""Who stands in the file for all projects that are not named."""


class OldLimits(LimitSource):
    """Limits from a JSON file: ``{"*": {"image_count_total": 100}, "PROJECT": {...}}``."""

    api_level: ClassVar[int] = 1
    section: ClassVar[str] = "old_limits"
    options = (StrOpt("old_file", default="/etc/glancekit/old.json", help="The file of limits."),)

    def __init__(self, options: Any, *, name: str) -> None:
        self._path = Path(options.old_file)
        self._reading = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, dict[Quota, int]] = {}

    def is_limiting(self) -> bool:
        """There may be a limit for some project, whatever the file says now."""
        return True

    def limits(self, project_id: str) -> Mapping[Quota, int]:
        """Return a project's limits. No file is not *no limits*."""
        with self._reading:
            try:
                self._read()
            except (OSError, ValueError, AttributeError) as error:
                raise Unavailable(f"limits cannot be read from {self._path}: {error}") from error
            return dict(self._known.get(project_id, self._known.get(USUAL, {})))

    def close(self) -> None:
        """There is nothing to let go of."""

    def _read(self) -> None:
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_size)
        if seen == self._seen:
            return
        found = json.loads(self._path.read_text(encoding="utf-8"))
        self._known = {
            project: {Quota(name): _whole(limit) for name, limit in limits.items()}
            for project, limits in found.items()
        }
        self._seen = seen


def _whole(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise ValueError(f"{limit!r} is no limit: write a whole number from 0 up")
    return limit
