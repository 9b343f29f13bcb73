# SPDX-License-Identifier: Apache-2.0
"""The answers that most routes give. What is in them is the resources' business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
"""Times as clients know them: ``2024-05-01T12:00:00Z``."""


def json_reply(
    content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON answer."""
    return Response(
        orjson.dumps(content, option=_OPTIONS),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def empty_reply(*, status: int = 204) -> Response:
    """Return an answer without content; clients would look for JSON where it had a type."""
    response = Response(status=status)
    del response.headers["Content-Type"]
    return response
