# SPDX-License-Identifier: Apache-2.0
"""Routes of features that are switched off: they answer as clients know it from such a service."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import NotFound


class CacheOff:
    """The image cache where there is none."""

    def answer(self, **_where: Any) -> Response:
        """Answer whatever is asked of it."""
        raise NotFound("The image cache is not enabled.")
